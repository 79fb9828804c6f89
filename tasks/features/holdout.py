"""What users saw next: the pairs first seen between a backtest's cut and the day itself."""

from datetime import date

import polars as pl

from tasks.features.log_days import days_with_views


def backtest_day_of(views: pl.DataFrame, as_of: date, days: int) -> date | None:
    """Return the first of the last ``days`` days with views before ``as_of``.

    ``views`` are those of ``views_by_day``. At most half of the days there are, so that enough is
    left to learn from; None if there is only one.
    """
    there = days_with_views(views.filter(pl.col("day") < as_of))
    n_days = min(days, len(there) // 2)
    return there[-n_days] if n_days else None


def of_same_users(known: pl.LazyFrame, met: pl.DataFrame) -> pl.LazyFrame:
    """Return the rows of ``known`` of about the users of ``met``: all from the first to the last.

    Both are ordered by user_idx, so that of a file only some row groups are read.
    """
    users = met["user_idx"]
    return known.filter(pl.col("user_idx").is_between(users.min(), users.max()))


def first_met(
    met: pl.DataFrame, known: pl.DataFrame, seen_videos: pl.Series, test_users: pl.Series
) -> pl.DataFrame:
    """Return rows of ``holdout``: the pairs ``met`` after the cut that were not known before it.

    ``met`` holds rows of ``pairs`` made of later views, ``known`` the pairs of at least the same
    users seen before the cut (user_idx, video_idx), ``seen_videos`` the video_idx that anybody had
    seen, ``test_users`` the user_idx of the eval set's test users.
    """
    new = met.join(known, on=["user_idx", "video_idx"], how="anti", maintain_order="left")
    return new.select(
        "user_idx",
        "video_idx",
        pl.col("user_idx").is_in(test_users.implode()).alias("is_test"),
        pl.col("video_idx").is_in(seen_videos.implode()).not_().alias("is_cold"),
        "watch_ratio",
        "enjoyed",
    )
