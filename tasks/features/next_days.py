"""What users saw next: the pairs first seen between a rehearsal's cut and the day itself."""

from datetime import date

import polars as pl

from tasks.features.calendar import SHANGHAI, before


def days_with_views(log: pl.LazyFrame) -> list[date]:
    """Return the days, in Shanghai, on which anything was viewed, ascending."""
    viewed = pl.col("viewed_at").dt.convert_time_zone(str(SHANGHAI)).dt.date()
    return log.select(viewed.unique().sort()).collect()["viewed_at"].to_list()


def rehearsal_day(log: pl.LazyFrame, as_of: date, days: int) -> date | None:
    """Return the first of the last ``days`` days with views before ``as_of``.

    At most half of the days there are, so that enough is left to learn from; None if there is only
    one.
    """
    there = days_with_views(log.filter(before(as_of)))
    n_days = min(days, len(there) // 2)
    return there[-n_days] if n_days else None


def first_met(met: pl.DataFrame, known: pl.DataFrame, test_users: pl.Series) -> pl.DataFrame:
    """Return rows of ``next_days``: the pairs ``met`` after the cut that were not known before it.

    ``met`` holds rows of ``pairs`` made of later views, ``known`` the pairs seen before the cut
    (user_idx, video_idx), ``test_users`` the user_idx of the exam's test users.
    """
    new = met.join(known, on=["user_idx", "video_idx"], how="anti", maintain_order="left")
    return new.select(
        "user_idx",
        "video_idx",
        pl.col("user_idx").is_in(test_users.implode()).alias("is_test"),
        pl.col("video_idx").is_in(known["video_idx"].unique().implode()).not_().alias("is_cold"),
        "watch_ratio",
        "enjoyed",
    )
