"""Finds a model's class by its name: ``tasks/models/<name>.py`` holds exactly one."""

import importlib
from typing import Any

from schemas.model_settings import config_class
from tasks.models.base import Recommender


def recommender_class(name: str) -> type[Recommender[Any]]:
    """Return the Recommender of ``tasks.models.<name>``; ConfigError for an unknown name."""
    config = config_class(name)
    module = importlib.import_module(f"{__package__}.{name}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Recommender)
        and getattr(value, "config_type", None) is config
    )
    return found
