"""Hyper-parameters: one closed, documented config class for each model.

A new model costs one class here and one file ``tasks/models/<name>.py``; nothing else lists models.
What belongs to a run and not to a model (seed, device, paths) is not here.
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import SettingError


class ModelConfig(BaseModel):
    """Base of all model configs: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    """The model's name in flags, folders, MLflow and the leaderboard."""


class RandomConfig(ModelConfig):
    """Uniformly random scores: the floor every other figure is read against."""

    name: ClassVar[str] = "random"


class MostViewedConfig(ModelConfig):
    """Popularity by the number of views before the cut."""

    name: ClassVar[str] = "most_viewed"


class PopularityConfig(ModelConfig):
    """Popularity by the mean enjoyed label, shrunk towards the mean of all videos."""

    name: ClassVar[str] = "popularity"
    shrinkage: float = Field(100.0, ge=0, description="Pseudo-views at the overall mean.")


class ALSConfig(ModelConfig):
    """Implicit-feedback matrix factorisation by alternating least squares."""

    name: ClassVar[str] = "als"
    factors: int = Field(64, ge=1, description="Length of the user and video vectors.")
    regularization: float = Field(0.1, gt=0, description="L2 penalty on the factors.")
    iterations: int = Field(15, ge=1, description="Alternating sweeps.")
    alpha: float = Field(1.0, ge=0, description="Weight of the watch ratio in the confidence.")
    ratio_cap: float = Field(
        1.0, gt=0, description="Watch ratios above this count as this: the tail must not rule."
    )


MODEL_CONFIGS: dict[str, type[ModelConfig]] = {
    config.name: config for config in ModelConfig.__subclasses__()
}
"""All models by name, in the order in which they are trained and shown."""


def config_class(name: str) -> type[ModelConfig]:
    """Return the config class of the model called ``name``; SettingError names those there are."""
    if name not in MODEL_CONFIGS:
        raise SettingError(f"unknown model {name!r}: choose from {', '.join(MODEL_CONFIGS)}")
    return MODEL_CONFIGS[name]
