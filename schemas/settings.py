"""What a person can set. One class a command: its fields are the flags, the parameters of the
Prefect deployment and, with their values, a part of what MLflow logs."""

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from schemas.list_rule_settings import ListRulesConfig
from schemas.model_settings import MODEL_CONFIGS, ModelConfig, config_class
from schemas.paths import Metavar, Place, is_url, place
from schemas.runner_settings import RunnerConfig
from schemas.tracked_settings import TrackedConfig
from schemas.validation import checked, complaint

NAME = r"^[^/:]+$"
"""What MLflow takes as the name of a registered model."""

NEXT: Final = "next"
"""As of the day after the newest that was played: a log played day by day."""

# What the validators below demand, for Prefect's form and its server, which refuses the rest
ONE_OF_THE_MODELS = {"type": "string", "enum": list(MODEL_CONFIGS)}
SETTINGS_BY_MODEL = {
    "type": "object",
    # Named "properties", Prefect's form would fill in the defaults of models that are not asked for
    "patternProperties": {
        f"^{name}$": config.model_json_schema() for name, config in MODEL_CONFIGS.items()
    },
    "additionalProperties": False,
}


def named_or_place(source: str) -> str:
    """Return a source by its name, or the path of its files."""
    return source if source in {"demo", "kuairec"} else place(source)


class DataConfig(RunnerConfig, TrackedConfig):
    """What is learned from, and what runs the work."""

    heading: ClassVar[str] = "from what data"

    source: Annotated[str, AfterValidator(named_or_place), Metavar("demo|kuairec|PATH")] = Field(
        "demo",
        min_length=1,
        description="'demo' (a generated world), 'kuairec' (downloaded), or the path of a folder or"
        " zip with KuaiRec's CSV files",
    )
    scale: float = Field(
        0.3, gt=0, le=4, description="size of the demo world: 1 is KuaiRec's, 12.5 M log rows"
    )
    seed: int = Field(42, ge=0, lt=2**32, description="decides every random choice of a run")
    max_reject_share: float = Field(
        0.01, ge=0, le=1, description="share of bad rows in one file above which the run stops"
    )


class LearningConfig(DataConfig):
    """What decides what is learned, as of whatever day."""

    heading: ClassVar[str] = "what is learned"

    backtest_days: int = Field(
        7,
        ge=1,
        description="days of the log before as_of on which the night is backtested: models trained"
        " before them teach the blend, and show what an offline test on the log is worth",
    )
    models: tuple[Annotated[str, WithJsonSchema(ONE_OF_THE_MODELS)], ...] = Field(
        tuple(MODEL_CONFIGS), min_length=1, description="models to train, by name"
    )
    model_params: Annotated[dict[str, dict[str, Any]], WithJsonSchema(SETTINGS_BY_MODEL)] = Field(
        default_factory=dict,
        description='hyper-parameters by model that differ from the defaults: {"als": {"factors":'
        " 128}} (default: what tuning has found, or none; {} for a model: its defaults)",
    )

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
        return self

    def model_settings(self, name: str) -> ModelConfig:
        """Return the config of one model; ValueError names the field that does not fit."""
        try:
            return config_class(name).model_validate(self.model_params.get(name, {}))
        except ValidationError as error:
            raise ValueError(f"model_params of {name}: {complaint(error)}") from error


class PromotionConfig(BaseModel):
    """What the night's model must show to become the champion."""

    heading: ClassVar[str] = "who becomes the champion"

    promotion_margin: float = Field(
        0.005,
        ge=0,
        description="a night of the champion's own configuration is promoted if the lower end of"
        " its difference in NDCG@10 is above minus this; another one must be above 0",
    )
    max_coverage_drop: float = Field(
        0.25, ge=0, le=1, description="share of the champion's coverage@10 that may be lost"
    )
    max_slice_drop: float = Field(
        0.03, ge=0, le=1, description="loss of NDCG@10 that any part of the eval set may show"
    )
    registered_model: str | None = Field(
        None,
        min_length=1,
        pattern=NAME,
        description="name in MLflow's registry of the model that the night may become the champion"
        " of (default: grail; for demo worlds grail-demo, with scale and seed where it generates"
        " one)",
    )


class MonitoringConfig(BaseModel):
    """What is not as usual, and what then becomes of the night."""

    heading: ClassVar[str] = "when a night is not as usual"

    max_row_change: float = Field(
        0.5,
        ge=0,
        description="change of a file's row count, against the median of the nights before, past"
        " which the monitoring warns",
    )
    max_psi: float = Field(
        0.25,
        ge=0,
        description="population stability index of watch ratio, video length, tags or activity,"
        " last backtest_days of the log against the days before, past which the monitoring warns",
    )
    max_champion_age_days: int = Field(
        30, ge=0, description="age of the champion past which the monitoring warns"
    )
    max_unserved_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of users, or of videos, that no model but random can serve, past which"
        " the monitoring warns",
    )
    fail_on_alert: bool = Field(
        default=False,
        description="end the run before the gate where the monitoring warns: the champion stays",
    )


class NightlyConfig(MonitoringConfig, PromotionConfig, ListRulesConfig, LearningConfig):
    """From raw KuaiRec files to compared models and everybody's top-N list."""

    heading: ClassVar[str] = "this night"

    as_of: Annotated[date | Literal["next"] | None, Metavar("YYYY-MM-DD|next")] = Field(
        None,
        description="learn only from what was known at the start of this day, Asia/Shanghai;"
        " 'next': of the log's day after the newest night on this root"
        " (default: the day after the last of the log, whatever a few wrong clocks say)",
    )
    top_n: int = Field(100, ge=1, le=10_000, description="length of each user's list")
    summary: Place | None = Field(None, description="file for the run's figures and paths, as JSON")

    @field_validator("as_of", mode="wrap")
    @classmethod
    def _day_or_next(cls, given: Any, checked_day: ValidatorFunctionWrapHandler) -> Any:
        try:
            return checked_day(given)
        except ValidationError as error:  # which has a complaint for each kind that it may be
            raise ValueError(f"it should be a day, as 2020-08-30, or {NEXT!r}") from error


class BackfillConfig(LearningConfig):
    """Plays the nights of the past, and says what a model that is some days old is still worth."""

    heading: ClassVar[str] = "which nights"

    from_day: date | None = Field(
        None,
        validation_alias=AliasChoices("from_day", "from"),
        description="first day to play the night of (default: the third day with views)",
    )
    to_day: date | None = Field(
        None,
        validation_alias=AliasChoices("to_day", "to"),
        description="last day that may be played (default: the last day with views)",
    )
    every_days: int = Field(
        7, ge=1, description="days from one night to the next, more where nothing was viewed"
    )
    workers: int | None = Field(
        None, ge=1, description="nights played at a time (default: as cores and memory allow)"
    )
    summary: Place | None = Field(None, description="file for the run's figures and paths, as JSON")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.from_day and self.to_day and self.from_day > self.to_day:
            raise ValueError(f"from {self.from_day} is after to {self.to_day}")
        return self


class RecommendConfig(ListRulesConfig, TrackedConfig):
    """The champion's lists: a table for all or some users, or one user's on the screen.

    The rules of the house are those of the champion's night; each that is given here counts instead
    of the night's.
    """

    heading: ClassVar[str] = "whose lists, of which videos"

    user: int | None = Field(
        None, ge=0, lt=2**31, description="id of one user, whose list is printed"
    )
    user_file: Place | None = Field(
        None,
        min_length=1,
        description="CSV or Parquet file with a column user_id (default: all users)",
    )
    candidate_file: Place | None = Field(
        None,
        min_length=1,
        description="CSV or Parquet file with a column video_id: only these may be listed, less"
        " what the user has seen (default: all videos)",
    )
    top_n: int = Field(10, ge=1, le=10_000, description="length of each list")
    out: Place | None = Field(
        None, min_length=1, description="Parquet file to write the lists to, needed without user"
    )
    explain: bool = Field(
        default=False, description="say of each video in the user's list what speaks for it"
    )
    registered_model: str | None = Field(
        None,
        min_length=1,
        description="name of the champion in MLflow's registry (default: grail, or where there are"
        " only nights of demo worlds the newest of their champions)",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.user is not None and self.user_file is not None:
            raise ValueError("give user (one id) or user_file (a file of ids), not both")
        if self.explain and self.user is None:
            raise ValueError("explain is for one user's list: name them with user")
        if self.user is None and self.out is None:
            raise ValueError("out is needed: a file for the lists (or one user, to be printed)")
        if self.out is not None and (is_url(self.out) or not self.out.endswith(".parquet")):
            raise ValueError("out must be a file of this machine that ends in .parquet")
        return self


class RollbackConfig(TrackedConfig):
    """Makes the previous champion the champion again; a second time takes that back."""

    heading: ClassVar[str] = "which champion"

    registered_model: str | None = Field(
        None,
        min_length=1,
        description="name of the champion in MLflow's registry (default: grail, or where there are"
        " only nights of demo worlds the newest of their champions)",
    )
    retire: bool = Field(
        default=False,
        description="leave the place of the champion empty instead, for one that is damaged, of"
        " other data, or of a day to come: the next night need only beat popularity. Without this"
        " flag, a retired champion comes back",
    )


class DemoDataConfig(BaseModel):
    """Writes the demo world as KuaiRec's CSV files, with the planted truth beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(
        1.0, gt=0, le=4, description="1 is KuaiRec's size: 12.5 M log rows, 1.6 GB"
    )
    seed: int = Field(42, ge=0, lt=2**32, description="same seed, same bytes")
    out: Place = Field(
        min_length=1, description="folder to write; it must not exist yet or be empty"
    )


def checked_config(settings: dict[str, Any]) -> NightlyConfig:
    """Validate a night's settings from wherever they came; ConfigError in one line."""
    return checked(NightlyConfig, settings)
