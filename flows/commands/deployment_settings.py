"""The build step of ``prefect.yaml``: its variables, each as the environment has it or by default.

Prefect fills in what the environment has, but knows no defaults: a variable that is not set is a
warning, and then left out or an empty text.
"""

import os
from collections.abc import Mapping
from typing import Any

from flows.commands.terminal import fail
from schemas.errors import ConfigError
from schemas.paths import place
from schemas.settings import NightlyConfig
from schemas.validation import checked

PREFIX = "GRAIL_"


def from_environment(**defaults: Any) -> dict[str, Any]:
    """Return variables by their names in small letters, without ``GRAIL_``.

    An environment's value becomes of the kind that its default is of. ConfigError in one line for
    one that no night would take, or that holds a password: Prefect would keep and show it.
    """
    try:
        return _settled({name: _alike(name, default) for name, default in defaults.items()})
    except ConfigError as error:  # of which Prefect would show a traceback
        fail("prefect deploy", str(error))


def _settled(variables: Mapping[str, Any]) -> dict[str, Any]:
    settled = {name.removeprefix(PREFIX).lower(): value for name, value in variables.items()}
    told = {name: settled[name] for name in ("root", "source", "runner", "as_of")}
    night = checked(NightlyConfig, {**told, "tracking_uri": settled["mlflow"] or None})
    places = {"mlflow": night.tracking_uri, "code": place(settled["code"])}
    return settled | night.model_dump(mode="json", include=set(told)) | places


def _alike(name: str, default: Any) -> Any:
    """Return what the environment says, as a value of the default's kind, or else the default."""
    given = os.environ.get(name)
    if given is None or not isinstance(default, (bool, int, float)):
        return default if given is None else given
    if isinstance(default, bool):
        return given.lower() == "true"
    try:
        return type(default)(given)
    except ValueError:
        raise ConfigError(f"{name}: {given!r} is no number, as {default} is") from None
