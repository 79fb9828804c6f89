"""Contracts of the simulated live test: what each visit's list is worth, and what a test sees."""

import pandera.polars as pa
import polars as pl
from pydantic import BaseModel, ConfigDict


class ListShares(pa.DataFrameModel):
    """One row per (model, user, visits): the share enjoyed of all that a test user was shown.

    Each visit shows the next 10 videos of the user's list.
    """

    model: pl.String
    user_id: pl.Int32 = pa.Field(ge=0)
    visits: pl.Int32 = pa.Field(ge=1)
    enjoyed_share: pl.Float64 = pa.Field(ge=0, le=1, description="0 where the list is empty")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "user_id", "visits")


class LiveTest(pa.DataFrameModel):
    """One row per (baseline, users, days): how often a test of this size tells two models apart."""

    model: pl.String = pa.Field(description="the night's chosen model, shown to one half")
    baseline: pl.String = pa.Field(description="shown to the other half")
    users: pl.Int32 = pa.Field(ge=2, description="in both halves together")
    days: pl.Int32 = pa.Field(ge=1)
    base_rate: pl.Float64 = pa.Field(
        ge=0, le=1, nullable=True, description="share enjoyed of a random list"
    )
    baseline_share: pl.Float64 = pa.Field(
        ge=0, le=1, nullable=True, description="mean share enjoyed; null: nobody comes"
    )
    difference: pl.Float64 = pa.Field(
        nullable=True, description="mean share enjoyed of model - that of baseline"
    )
    power: pl.Float64 = pa.Field(ge=0, le=1, description="share of tests with p below .05")
    power_low: pl.Float64 = pa.Field(ge=0, le=1, description="95 % interval, exact binomial")
    power_high: pl.Float64 = pa.Field(ge=0, le=1)
    false_alarms: pl.Float64 = pa.Field(
        ge=0, le=1, description="the same where both halves are shown baseline: .05 is due"
    )
    false_alarms_low: pl.Float64 = pa.Field(ge=0, le=1)
    false_alarms_high: pl.Float64 = pa.Field(ge=0, le=1)
    tests: pl.Int32 = pa.Field(ge=1, description="simulated")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("model", "baseline", "users", "days")


class LiveTestSize(BaseModel):
    """Users, of both halves, and days that a live test would need."""

    model_config = ConfigDict(frozen=True)
    users: int
    days: int
