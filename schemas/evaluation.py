"""Contracts of what is measured and what is shown: exam cells, figures, lists."""

import pandera.polars as pa
import polars as pl


class Cells(pa.DataFrameModel):
    """One row per cell of the exam: a block user, a candidate video, and what came of it."""

    user_idx: pl.Int32 = pa.Field(ge=0)
    video_idx: pl.Int32 = pa.Field(ge=0)
    is_test: pl.Boolean = pa.Field(description="false: a tune user, for choosing")
    stage: pl.Int8 = pa.Field(isin=[1, 2], nullable=True)
    duration_ms: pl.Int32 = pa.Field(gt=0)
    watch_ratio: pl.Float64 = pa.Field(ge=0)
    enjoyed: pl.Boolean

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("user_idx", "video_idx")


class PerUser(pa.DataFrameModel):
    """One row per (model, label, metric, k, user): the figures that every mean is made of."""

    model: pl.String
    label: pl.String
    metric: pl.String
    k: pl.Int32 = pa.Field(ge=0, description="0: the whole candidate set")
    user_id: pl.Int32 = pa.Field(ge=0)
    is_test: pl.Boolean = pa.Field(description="false: a tune user, for choosing")
    value: pl.Float64 = pa.Field(ge=0, le=1)

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "label", "metric", "k", "user_id")


class Leaderboard(pa.DataFrameModel):
    """One row per (model, label, metric, k): the mean over test users and its 95 % interval."""

    model: pl.String
    label: pl.String
    metric: pl.String
    k: pl.Int32 = pa.Field(ge=0, description="0: the whole candidate set")
    mean: pl.Float64 = pa.Field(nullable=True)
    low: pl.Float64 = pa.Field(nullable=True)
    high: pl.Float64 = pa.Field(nullable=True)
    users: pl.Int32 = pa.Field(ge=0, description="users the mean is over")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "label", "metric", "k")


class TopN(pa.DataFrameModel):
    """One row per (user, rank): the videos a user might fancy, best first, none seen before."""

    user_id: pl.Int32 = pa.Field(ge=0)
    rank: pl.Int32 = pa.Field(ge=1)
    video_id: pl.Int32 = pa.Field(ge=0)
    score: pl.Float32
    model: pl.String = pa.Field(
        description="whose list it is: the night's best, or the next that can serve the user"
    )

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("user_id", "rank")
