"""Contracts of tuning: what each try of settings was worth, and what the best of them is worth."""

import pandera.polars as pa
import polars as pl


class TrialScores(pa.DataFrameModel):
    """One row per validation user with an enjoyed video: NDCG@10 of a model with some settings."""

    user_id: pl.Int32 = pa.Field(ge=0, unique=True)
    value: pl.Float64 = pa.Field(ge=0, le=1)

    class Config:
        """Closed."""

        strict = True


class TuningComparison(pa.DataFrameModel):
    """One row per (settings, baseline, users): NDCG@10, and its difference paired by user.

    The winner is the best of many on validation users, so there it is flattered. ``cross_fitted``
    is what the choice is worth to validation users who are measured with what others chose; test
    users, who chose nothing, say what is left of it.
    """

    settings: pl.String = pa.Field(isin=["default", "in_force", "winner"])
    baseline: pl.String = pa.Field(isin=["default", "in_force"], description="what they are above")
    users: pl.String = pa.Field(
        isin=["validation", "cross_fitted", "test"], description="who chose, who did not"
    )
    n_users: pl.Int32 = pa.Field(ge=1)
    mean: pl.Float64 = pa.Field(ge=0, le=1)
    low: pl.Float64 = pa.Field(nullable=True)
    high: pl.Float64 = pa.Field(nullable=True)
    difference: pl.Float64 = pa.Field(description="mean - that of the baseline")
    difference_low: pl.Float64 = pa.Field(nullable=True)
    difference_high: pl.Float64 = pa.Field(nullable=True)

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("settings", "baseline", "users")
