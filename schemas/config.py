"""What a person can set. One class a command: its fields are the flags, the parameters of the
Prefect deployment and, with their values, a part of what MLflow logs."""

from datetime import date
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.errors import SettingError
from schemas.models import MODEL_CONFIGS, ModelConfig, config_class


class NightlyConfig(BaseModel):
    """From raw KuaiRec files to compared models and everybody's top-N list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(
        "demo",
        min_length=1,
        description="'demo' (a generated world), 'kuairec' (downloaded), or the path of a folder or"
        " zip with KuaiRec's CSV files",
    )
    scale: float = Field(
        0.3, gt=0, le=4, description="size of the demo world: 1 is KuaiRec's, 12.5 M log rows"
    )
    seed: int = Field(42, ge=0, lt=2**32, description="decides every random choice of a run")
    as_of: date | None = Field(
        None,
        description="learn only from what was known at the start of this day, Asia/Shanghai"
        " (default: the day after the last event of the log)",
    )
    window_days: int = Field(
        7,
        ge=1,
        description="days of the log before as_of on which the night is rehearsed: models trained"
        " before them teach the blend, and show what an offline test on the log is worth",
    )
    models: tuple[str, ...] = Field(
        tuple(MODEL_CONFIGS), min_length=1, description="models to train, by name"
    )
    model_params: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='hyper-parameters by model that differ from the defaults: {"als": {"factors":'
        " 128}}",
    )
    top_n: int = Field(100, ge=1, le=10_000, description="length of each user's list")
    max_reject_share: float = Field(
        0.01, ge=0, le=1, description="share of bad rows in one file above which the run stops"
    )
    root: str = Field("data", min_length=1, description="folder or URL for all tables and models")
    tracking_uri: str | None = Field(
        None, description="MLflow's address (default: sqlite:///ROOT/mlflow.db)"
    )
    summary: str | None = Field(None, description="file for the run's figures and paths, as JSON")

    @field_validator("models")
    @classmethod
    def _known_models(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in models if name not in MODEL_CONFIGS]
        if unknown:
            raise ValueError(f"unknown models {unknown}: choose from {', '.join(MODEL_CONFIGS)}")
        if len(set(models)) < len(models):
            raise ValueError(f"each model at most once, not {list(models)}")
        blends = [name for name in models if MODEL_CONFIGS[name].is_blend]
        if len(blends) == len(models):
            raise ValueError(f"{blends[0]} blends other models: name at least one beside it")
        return tuple(name for name in models if name not in blends) + tuple(blends)

    @model_validator(mode="after")
    def _known_params(self) -> Self:
        for name in self.model_params:
            if name not in self.models:
                raise ValueError(f"model_params for {name!r}, which is not among the models")
            self.model_settings(name)
        if self.tracking_uri is None and "://" in self.root:
            raise ValueError("tracking_uri is needed when root is a URL")
        return self

    def model_settings(self, name: str) -> ModelConfig:
        """Return the config of one model; ValueError names the field that does not fit."""
        try:
            return config_class(name).model_validate(self.model_params.get(name, {}))
        except ValidationError as error:
            raise ValueError(f"model_params of {name}: {complaint(error)}") from error

    @property
    def tracking_address(self) -> str:
        """MLflow's address: the one given, or a database under the root."""
        return self.tracking_uri or f"sqlite:///{Path(self.root).resolve() / 'mlflow.db'}"

    @property
    def artifact_location(self) -> str | None:
        """Where new experiments keep files: as an MLflow server says, else under the root."""
        if self.tracking_address.startswith(("http:", "https:")):
            return None
        return (Path(self.root).resolve() / "mlflow-artifacts").as_uri()


class DemoDataConfig(BaseModel):
    """Writes the demo world as KuaiRec's CSV files, with the planted truth beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(
        1.0, gt=0, le=4, description="1 is KuaiRec's size: 12.5 M log rows, 1.6 GB"
    )
    seed: int = Field(42, ge=0, lt=2**32, description="same seed, same bytes")
    out: str = Field(min_length=1, description="folder to write; it must not exist yet or be empty")


def complaint(error: ValidationError) -> str:
    """Say in one line what is wrong with which setting."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg'].removeprefix('Value error, ')}"
        + (f" (got {e['input']!r})" if e["loc"] and e["type"] != "missing" else "")
        for e in error.errors()
    )


def checked_config(settings: dict[str, Any]) -> NightlyConfig:
    """Validate settings from wherever they came; SettingError in one line."""
    try:
        return NightlyConfig.model_validate(settings)
    except ValidationError as error:
        raise SettingError(complaint(error)) from error
