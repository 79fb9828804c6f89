"""The days of the log, told from its mass: a wrong clock neither begins nor ends it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from tasks.features.cutoff import SHANGHAI

LEAST_OF_A_DAY = 0.01
"""A day counts with at least this share of the views of the day on which the median view is."""
SILENCE = timedelta(days=30)
"""Longer than KuaiRec's longest silence, 19 days; what lies beyond one is looked at as a whole."""
LEAST_OF_THE_LOG = 0.05
"""Days between two silences count with at least this share of all views."""
LEAST_BEFORE = 2
"""Days with views before one that can be played: one to learn from, one to backtest on."""


def day_of(column: str) -> pl.Expr:
    """Return the day, in Shanghai, of instants."""
    return pl.col(column).dt.convert_time_zone(str(SHANGHAI)).dt.date()


def views_by_day(log: pl.LazyFrame) -> pl.DataFrame:
    """Count views: one row per day in Shanghai that has any, ascending; ``day`` and ``views``."""
    # An hour is of one day, there and in UTC: so few instants need their zone looked up
    hours = log.group_by(pl.col("viewed_at").dt.truncate("1h")).agg(views=pl.len())
    day = pl.col("viewed_at").dt.convert_time_zone(str(SHANGHAI)).dt.date()
    return hours.group_by(day=day).agg(pl.col("views").sum()).sort("day").collect()


def days_with_views(views: pl.DataFrame) -> list[date]:
    """Return the days of ``views_by_day`` that count, ascending: without the strays."""
    return _split(views)[0]["day"].to_list()


def playable_days(there: Sequence[date]) -> list[date]:
    """Return the days of the log that a night can be as of, given those with views, ascending."""
    return list(there[LEAST_BEFORE:])


def day_after(played: date | None, there: Sequence[date]) -> date | None:
    """Return the next day that a log is played as of, after ``played`` or from its beginning.

    That is a day of the log, or the day after the last one, as of which all of it is known; None
    where that is played. ``there`` are the days with views, ascending.
    """
    days = (*playable_days(there), there[-1] + timedelta(days=1))
    return next((day for day in days if played is None or day > played), None)


def activity_of_users(log: pl.LazyFrame, user_ids: pl.Series) -> pl.Series:
    """Return the share of the log's days on which each user viewed anything; 0 without a view."""
    days = days_with_views(views_by_day(log))
    day = pl.col("viewed_at").dt.convert_time_zone(str(SHANGHAI)).dt.date()
    theirs = log.filter(pl.col("user_id").is_in(user_ids.implode())).select("user_id", day=day)
    theirs = theirs.filter(pl.col("day").is_in(days))
    came = theirs.group_by("user_id").agg(pl.col("day").n_unique()).collect()
    users = user_ids.to_frame().join(came, on="user_id", how="left", maintain_order="left")
    return users["day"].fill_null(0) / max(len(days), 1)


def strays(views: pl.DataFrame) -> str:
    """Say which of ``views_by_day`` are a few, far from the log's mass; empty if there are none."""
    few = _split(views)[1]
    if few.is_empty():
        return ""
    first, *_, last = [few["day"][0], *few["day"]]
    days = f"on {first}" if first == last else f"on {few.height} days from {first} to {last}"
    return (
        f"{few['views'].sum():,} views {days} are far from the mass of the log, as a wrong clock"
        " writes them: they do not decide what its last day is. If they are right, set as_of"
    )


def _split(days: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part ``views_by_day`` into the days that count and the strays."""
    by_size = days.sort("views")
    of_median = by_size.filter(pl.col("views").cum_sum() * 2 >= pl.col("views").sum())["views"]
    stretch = (pl.col("day").diff() > SILENCE).fill_null(value=False).cum_sum()
    counts = (pl.col("views") >= LEAST_OF_A_DAY * pl.lit(of_median.first())) & (
        pl.col("views").sum().over(stretch) >= LEAST_OF_THE_LOG * pl.col("views").sum()
    )
    return days.filter(counts), days.filter(~counts)
