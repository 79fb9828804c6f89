"""What a person can set of tuning: which models, for how long, on what data."""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field, WithJsonSchema, field_validator

from schemas.model_settings import MODEL_CONFIGS, searched_models
from schemas.paths import Place
from schemas.settings import DataConfig

ONE_OF_THE_SEARCHED = {"type": "string", "enum": list(searched_models())}


class TuneConfig(DataConfig):
    """Searches each model's settings; the best become those of the next nights if surely better."""

    heading: ClassVar[str] = "what is searched, for how long"

    model: Annotated[str, WithJsonSchema(ONE_OF_THE_SEARCHED)] | None = Field(
        None, description="model to search the settings of (default: each that declares a space)"
    )
    trials: int = Field(
        30,
        ge=1,
        le=1_000,
        description="settings to try of each model, those of an earlier run of the same search"
        " included",
    )
    seconds: float = Field(
        1_800,
        gt=0,
        description="seconds of a model's tries together, an earlier run's included, after which"
        " none begins",
    )
    as_of: date | None = Field(
        None,
        description="learn only from what was known at the start of this day, Asia/Shanghai"
        " (default: the day after the last of the log)",
    )
    summary: Place | None = Field(None, description="file for the search's figures, as JSON")

    @field_validator("model")
    @classmethod
    def _has_a_space(cls, model: str | None) -> str | None:
        if model is not None and model not in searched_models():
            known = "is no model" if model not in MODEL_CONFIGS else "declares no search space"
            raise ValueError(f"{model!r} {known}: choose from {', '.join(searched_models())}")
        return model

    @property
    def models(self) -> tuple[str, ...]:
        """The models to search."""
        return searched_models() if self.model is None else (self.model,)
