"""Hyper-parameters: one closed, documented config class for each model.

A new model costs one class here and one file ``tasks/models/<name>.py``; nothing else lists models.
What belongs to a run and not to a model (seed, device, paths) is not here. A setting that tuning
searches says from where to where in its type.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import ConfigError
from schemas.search_space import OneOf, Search, search_space


class ModelConfig(BaseModel):
    """Base of all model configs: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    """The model's name in flags, folders, MLflow and the leaderboard."""
    is_blend: ClassVar[bool] = False
    """Whether it is made of the night's other models."""
    is_noise: ClassVar[bool] = False
    """Whether it knows nothing of anybody: in a blend it never weighs anything."""
    is_control: ClassVar[bool] = False
    """A ranking that knows no user, to be beaten: on every board, in no blend, never a list."""


class RandomConfig(ModelConfig):
    """Uniformly random scores: the floor every other figure is read against."""

    name: ClassVar[str] = "random"
    is_noise: ClassVar[bool] = True


class MostViewedConfig(ModelConfig):
    """Popularity by the number of users who viewed a video before the cut."""

    name: ClassVar[str] = "most_viewed"


class PopularityConfig(ModelConfig):
    """Popularity by the mean enjoyed label, shrunk towards the mean of all videos."""

    name: ClassVar[str] = "popularity"
    shrinkage: Annotated[float, Search(1, 10_000, log=True)] = Field(
        100.0, ge=0, description="Pseudo-views at the overall mean."
    )


class ShortestConfig(ModelConfig):
    """The shortest videos first: a control."""

    name: ClassVar[str] = "shortest"
    is_control: ClassVar[bool] = True


class RecentlyViewedConfig(ModelConfig):
    """Popularity by the number of users who viewed a video of late: a control."""

    name: ClassVar[str] = "recently_viewed"
    is_control: ClassVar[bool] = True
    days: int = Field(3, ge=1, description="So many days before the cut are of late.")


class ALSConfig(ModelConfig):
    """Implicit-feedback matrix factorisation by alternating least squares (iALS)."""

    name: ClassVar[str] = "als"
    factors: Annotated[int, Search(8, 128, log=True)] = Field(
        32, ge=1, description="Length of the user and video vectors."
    )
    regularization: Annotated[float, Search(0.002, 0.5, log=True)] = Field(
        0.028, gt=0, description="L2 penalty on the factors, by the weight of their cells."
    )
    frequency_exponent: Annotated[float, Search(0, 1)] = Field(
        1.0, ge=0, description="Of that weight in the penalty; 0: the same penalty for all."
    )
    unobserved_weight: Annotated[float, Search(0.01, 1, log=True)] = Field(
        0.13, gt=0, description="Of the error of a cell that is not positive, whose own weighs 1."
    )
    iterations: int = Field(15, ge=1, description="Alternating sweeps.")


class ContentConfig(ModelConfig):
    """Cosine between what a user enjoyed and the properties of a video."""

    name: ClassVar[str] = "content"
    tag_weight: float = Field(1.0, ge=0, description="Share of the tags in the squared length.")
    category_weight: Annotated[float, Search(0.1, 10, log=True)] = Field(
        1.0, ge=0, description="Share of each of the three levels."
    )
    author_weight: Annotated[float, Search(0.1, 10, log=True)] = Field(
        1.0, ge=0, description="Share of the author."
    )
    length_weight: Annotated[float, Search(0.1, 10, log=True)] = Field(
        1.0, ge=0, description="Share of the log length."
    )
    type_weight: float = Field(1.0, ge=0, description="Share of the video type.")
    caption_weight: Annotated[float, Search(0.1, 10, log=True)] = Field(
        3.0, ge=0, description="Share of the caption's bigrams."
    )
    caption_bigrams: int = Field(4_000, ge=1, description="Only so many, the most frequent ones.")
    half_life_days: Annotated[float | None, OneOf((None, 3.0, 7.0, 14.0, 30.0))] = Field(
        None, gt=0, description="A view this old counts half; None: all views count the same."
    )


class TagsConfig(ModelConfig):
    """Videos of the tags a user prefers, popular ones first inside a tag."""

    name: ClassVar[str] = "tags"
    preference: Literal["views", "total_watch_ratio", "mean_watch_ratio", "shrunk_mean"] = Field(
        "shrunk_mean", description="How a user's liking of a tag is measured."
    )
    shrinkage: Annotated[float, Search(1, 1_000, log=True)] = Field(
        50.0, ge=0, description="Pseudo-views of a tag (shrunk_mean only)."
    )
    popularity_weight: Annotated[float, Search(0.001, 1, log=True)] = Field(
        0.01, ge=0, description="What the most popular video gains over the least popular one."
    )


class FriendsConfig(ModelConfig):
    """Videos that the user's friends enjoyed."""

    name: ClassVar[str] = "friends"
    shrinkage: Annotated[float, Search(0.1, 100, log=True)] = Field(
        5.0, ge=0, description="Pseudo-friends with the video's general rate."
    )
    authors_are_friends: bool = Field(
        default=False, description="Read an author_id as a user_id: not documented, so off."
    )


class TwoTowerConfig(ModelConfig):
    """User and video towers over ids and features, trained by Adam."""

    name: ClassVar[str] = "two_tower"
    loss: Literal["pointwise", "softmax"] = Field(
        "pointwise", description="The label of each pair, or each enjoyed video against its batch."
    )
    dim: Annotated[int, Search(8, 64, log=True)] = Field(
        32, ge=1, description="Length of the user and video vectors."
    )
    epochs: int = Field(16, ge=1, description="At most so many passes over the pairs.")
    patience: int = Field(2, ge=1, description="Stop after so many epochs without a better one.")
    validation_days: int = Field(2, ge=1, description="Last days of the log, held out to stop by.")
    learning_rate: Annotated[float, Search(0.002, 0.05, log=True)] = Field(
        0.01, gt=0, description="Of the first epoch."
    )
    decay: float = Field(0.85, gt=0, le=1, description="Learning rate of an epoch over the last's.")
    l2: Annotated[float, Search(1, 500, log=True)] = Field(
        50.0, ge=0, description="Penalty on all tables, against the loss of a pair."
    )
    id_dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of ids hidden in training, so that features learn too."
    )
    min_category_rows: int = Field(
        3, ge=1, description="Categories (authors) of fewer rows share one embedding."
    )
    blocks: int = Field(
        10, ge=1, description="Pointwise: a batch is one of blocks x blocks rectangles."
    )
    softmax_batch: int = Field(1024, ge=2, description="Softmax: enjoyed pairs in a batch.")


class HybridConfig(ModelConfig):
    """All other models of the night blended, by weights learned on validation users."""

    name: ClassVar[str] = "hybrid"
    is_blend: ClassVar[bool] = True
    kind: str = Field(
        "best",
        description="A blend by name, such as linear (weighted sum) or stacked (small network), or"
        " best: whichever is best on validation users.",
    )
    users: int = Field(
        4_000,
        ge=1,
        description="At most so many users' holdout days are learned from, by the seed.",
    )
    min_selection_rate: float = Field(
        0.975,
        ge=0,
        le=1,
        description="A component whose weight is above 0 in fewer of the resamples gets 0.",
    )
    least_weight: float = Field(
        0.05, ge=0, lt=1, description="A component of a smaller share gets 0: it may be chance."
    )
    hidden_units: int = Field(32, ge=1, description="Of the network.")
    epochs: int = Field(8, ge=1, description="Of the network.")
    pairs: int = Field(400_000, ge=2, description="At most so many pairs teach the network.")


MODEL_CONFIGS: dict[str, type[ModelConfig]] = {
    config.name: config for config in ModelConfig.__subclasses__()
}
"""All models by name, in the order in which they are trained and shown."""


def config_class(name: str) -> type[ModelConfig]:
    """Return the config class of the model called ``name``; ConfigError names those there are."""
    if name not in MODEL_CONFIGS:
        raise ConfigError(f"unknown model {name!r}: choose from {', '.join(MODEL_CONFIGS)}")
    return MODEL_CONFIGS[name]


def searched_models() -> tuple[str, ...]:
    """Return the models that declare a search space, in their order."""
    return tuple(name for name, config in MODEL_CONFIGS.items() if search_space(config))
