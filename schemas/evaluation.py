"""Contracts of what is measured and what is shown: eval pairs, figures, lists."""

import pandera.polars as pa
import polars as pl

from schemas.order import ascending_by


class EvalPairs(pa.DataFrameModel):
    """One row per cell of the eval set: a block user, a candidate video, and what came of it."""

    user_idx: pl.Int32 = pa.Field(ge=0)
    video_idx: pl.Int32 = pa.Field(ge=0)
    is_test: pl.Boolean = pa.Field(description="false: a validation user, for choosing")
    stage: pl.Int8 = pa.Field(isin=[1, 2], nullable=True)
    duration_ms: pl.Int32 = pa.Field(gt=0)
    watch_ratio: pl.Float64 = pa.Field(ge=0)
    enjoyed: pl.Boolean

    ascending = ascending_by("user_idx", "video_idx")

    class Config:
        """Closed, and in the order of its grain."""

        strict = True


class PerUser(pa.DataFrameModel):
    """One row per (model, label, metric, k, user): the figures that every mean is made of."""

    model: pl.String
    label: pl.String
    metric: pl.String
    k: pl.Int32 = pa.Field(ge=0, description="0: the whole candidate set")
    user_id: pl.Int32 = pa.Field(ge=0)
    is_test: pl.Boolean = pa.Field(description="false: a validation user, for choosing")
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


class Comparisons(pa.DataFrameModel):
    """One row per (model, baseline, label, metric, k): a difference paired by test user."""

    model: pl.String
    baseline: pl.String = pa.Field(description="popularity, or the best single model")
    label: pl.String
    metric: pl.String
    k: pl.Int32 = pa.Field(ge=1)
    difference: pl.Float64 = pa.Field(description="mean of model - baseline")
    low: pl.Float64 = pa.Field(nullable=True)
    high: pl.Float64 = pa.Field(nullable=True)
    win_rate: pl.Float64 = pa.Field(ge=0, le=1, description="share of users; a tie counts half")
    users: pl.Int32 = pa.Field(ge=1, description="users the mean is over")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "baseline", "label", "metric", "k")


class RankCorrelations(pa.DataFrameModel):
    """One row per two yardsticks: do they put the models in the same order?"""

    first: pl.String = pa.Field(
        description="yardstick, such as small_matrix/enjoyed or log/all_unseen"
    )
    second: pl.String
    tau: pl.Float64 = pa.Field(ge=-1, le=1, nullable=True, description="Kendall's tau-b")
    models: pl.Int32 = pa.Field(ge=0, description="models that both could measure")
    rank_inversions: pl.Int32 = pa.Field(ge=0, description="pairs of models in turned order")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("first", "second")


class RankInversions(pa.DataFrameModel):
    """One row per two models whose order the first yardstick turns round."""

    first: pl.String
    second: pl.String
    winner_in_first: pl.String
    winner_in_second: pl.String
    lead_in_first: pl.Float64 = pa.Field(gt=0)
    gap_in_second: pl.Float64 = pa.Field(gt=0, description="what trusting the first costs")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("first", "second", "winner_in_first", "winner_in_second")


class Slices(pa.DataFrameModel):
    """One row per (model, slice, slice_value): NDCG@10 over test users, on a part of them."""

    model: pl.String
    slice: pl.String = pa.Field(description="by what users or cells are cut")
    slice_value: pl.String = pa.Field(description="which part, for people to read")
    place: pl.Int8 = pa.Field(ge=1, description="order of the parts within the slice")
    mean: pl.Float64 = pa.Field(ge=0, le=1, nullable=True)
    low: pl.Float64 = pa.Field(ge=0, le=1, nullable=True)
    high: pl.Float64 = pa.Field(ge=0, le=1, nullable=True)
    base_rate: pl.Float64 = pa.Field(ge=0, le=1, nullable=True)
    users: pl.Int32 = pa.Field(ge=0, description="users the mean is over")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "slice", "slice_value")


class BeyondAccuracy(pa.DataFrameModel):
    """One row per (model, measure): what the first 10 of each test user's list are like."""

    model: pl.String
    measure: pl.String = pa.Field(description="what is measured of the lists")
    value: pl.Float64 = pa.Field(nullable=True)
    low: pl.Float64 = pa.Field(nullable=True, description="null: a figure of all lists together")
    high: pl.Float64 = pa.Field(nullable=True)
    users: pl.Int32 = pa.Field(ge=0)

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "measure")


class Ablation(pa.DataFrameModel):
    """One row per component of the blend: what it earns, and whom it reaches."""

    component: pl.String = pa.Field(unique=True)
    weight: pl.Float64 = pa.Field(ge=0, le=1, description="share in the linear blend")
    ndcg_gain: pl.Float64 = pa.Field(description="NDCG@10 of the blend minus that without it")
    low: pl.Float64 = pa.Field(nullable=True)
    high: pl.Float64 = pa.Field(nullable=True)
    reach_users: pl.Float64 = pa.Field(ge=0, le=1, description="share of test users it serves")
    reach_cells: pl.Float64 = pa.Field(ge=0, le=1, description="share of their candidates")
    users: pl.Int32 = pa.Field(ge=0, description="test users the difference is over")

    class Config:
        """Closed."""

        strict = True


class NotebookReference(pa.DataFrameModel):
    """One row per (model, user_group, metric, k): the notebook's protocol, a user's own best."""

    model: pl.String
    user_group: pl.String = pa.Field(description="'user N' (one user), or 'all' test users")
    metric: pl.String
    k: pl.Int32 = pa.Field(ge=1)
    value: pl.Float64 = pa.Field(ge=0, le=1)
    notebook: pl.Float64 = pa.Field(
        ge=0, le=1, nullable=True, description="what the notebook reported, for user 14"
    )

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "user_group", "metric", "k")


class Holdout(pa.DataFrameModel):
    """One row per (user, video) first seen on the days after a backtest's cut."""

    user_idx: pl.Int32 = pa.Field(ge=0)
    video_idx: pl.Int32 = pa.Field(ge=0)
    is_test: pl.Boolean = pa.Field(description="a test user of the eval set, for reporting only")
    is_cold: pl.Boolean = pa.Field(description="nobody had seen the video before the cut")
    watch_ratio: pl.Float32 = pa.Field(ge=0, description="mean over the pair's views")
    enjoyed: pl.Float32 = pa.Field(ge=0, le=1, description="share of the views that were enjoyed")

    ascending = ascending_by("user_idx", "video_idx")

    class Config:
        """Closed, and in the order of its grain."""

        strict = True


class ModelAgeScores(pa.DataFrameModel):
    """One row per (model, test_set, trained_as_of, day, user): NDCG@10 on a day."""

    model: pl.String
    test_set: pl.String = pa.Field(
        isin=["small_matrix", "exposed_only"],
        description="the eval set, or the videos that a user was first shown from the day on",
    )
    trained_as_of: pl.Date = pa.Field(description="as of which the model was trained")
    day: pl.Date = pa.Field(description="as of which it was asked")
    user_id: pl.Int32 = pa.Field(ge=0)
    value: pl.Float64 = pa.Field(ge=0, le=1)

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "test_set", "trained_as_of", "day", "user_id")


class Staleness(pa.DataFrameModel):
    """One row per (model, test_set, days_old): NDCG@10 of old models, paired with new ones.

    A new one is of the same kind, trained as of the very day; pairs are of a test user and a day.
    """

    model: pl.String
    test_set: pl.String = pa.Field(isin=["small_matrix", "exposed_only"])
    days_old: pl.Int32 = pa.Field(ge=0)
    mean: pl.Float64 = pa.Field(ge=0, le=1)
    fresh: pl.Float64 = pa.Field(ge=0, le=1, description="mean of the new ones on the same pairs")
    difference: pl.Float64 = pa.Field(description="mean - fresh")
    low: pl.Float64 = pa.Field(nullable=True, description="of the difference, users resampled")
    high: pl.Float64 = pa.Field(nullable=True)
    users: pl.Int32 = pa.Field(ge=1)
    days: pl.Int32 = pa.Field(ge=1, description="days on which models of this age were asked")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "test_set", "days_old")


class TopN(pa.DataFrameModel):
    """One row per (user, rank): the videos a user might fancy, best first, none seen before."""

    user_id: pl.Int32 = pa.Field(ge=0)
    rank: pl.Int32 = pa.Field(ge=1)
    video_id: pl.Int32 = pa.Field(ge=0)
    score: pl.Float32
    model: pl.String = pa.Field(
        description="whose list it is: the champion's, or what is popular, marked (fallback)"
    )

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("user_id", "rank")


class MonitoringChecks(pa.DataFrameModel):
    """One row per (measure, slice_value): what was read of a night, and whether it is too much."""

    measure: pl.String = pa.Field(
        description="reject_share, rows, psi, champion_age_days or unserved_share"
    )
    slice_value: pl.String = pa.Field(description="of what: a table, a distribution, users, videos")
    value: pl.Float64
    reference: pl.Float64 = pa.Field(
        nullable=True, description="median of the nights before; null: there was none"
    )
    threshold: pl.Float64 = pa.Field(
        ge=0, nullable=True, description="of the value; for rows, of its change; null: only shown"
    )
    is_alert: pl.Boolean
    description: pl.String = pa.Field(description="for people to read")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("measure", "slice_value")
