"""The video table: tags, captions, author and length, and the daily counts known by the cut."""

from datetime import date

import polars as pl

from schemas.raw_columns import CAPTION_COLUMNS, DAILY_COLUMNS, features_among
from tasks.features.order_statistics import weighted_medians

PRIOR_PLAYS = 100.0
"""Pseudo-plays at the overall rate that shrink a ratio of few plays towards it."""

_ATTRIBUTES = features_among(DAILY_COLUMNS)
_LENGTH = {"video_duration_ms": pl.Int32}
_LATEST = _ATTRIBUTES | _LENGTH
_NO_DAILY = _LATEST | {
    "plays": pl.Int64,
    "likes": pl.Int64,
    "like_view_ratio": pl.Float32,
    "complete_play_ratio": pl.Float32,
}
_CAPTION_COLUMNS = features_among(CAPTION_COLUMNS)


def video_features(
    index: pl.DataFrame,
    raw_videos: pl.DataFrame,
    daily: pl.DataFrame | None,
    captions: pl.DataFrame | None,
    durations: pl.DataFrame,
    activity: pl.DataFrame,
) -> pl.DataFrame:
    """Return ``videos``: one row per video_idx, null where nothing is known.

    ``daily`` is the output of ``daily_by_cut``, ``durations`` holds video_id and duration_ms from
    the log before the cut; without the optional tables their columns are null and counts 0.
    """
    if daily is None:
        daily = pl.DataFrame(schema={"video_id": pl.Int32, **_NO_DAILY})
    if captions is None:
        captions = pl.DataFrame(schema={"video_id": pl.Int32, **_CAPTION_COLUMNS})
    joined = index
    for table in (raw_videos, daily, captions.select("video_id", *_CAPTION_COLUMNS), durations):
        joined = joined.join(table, on="video_id", how="left", maintain_order="left")
    return joined.join(activity, on="video_idx", how="left", maintain_order="left").select(
        "video_idx",
        "video_id",
        pl.col("tags").fill_null(pl.lit([], dtype=pl.List(pl.Int16))),
        *_ATTRIBUTES,
        pl.coalesce("duration_ms", *_LENGTH).alias("duration_ms"),
        *_CAPTION_COLUMNS,
        pl.col("plays", "likes", "views").fill_null(0),
        "like_view_ratio",
        "complete_play_ratio",
        "enjoyed_rate",
    )


def daily_by_cut(daily: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    r"""Sum up the days strictly before ``as_of``: one row per video_id.

    Attributes are the latest known; with likes l, plays p and the overall rate m, the like/view
    ratio is :math:`(l + 100 m) / (p + 100)`, so it is defined without any play.
    """
    known = daily.filter(pl.col("day") < as_of).sort("video_id", "day")
    sums = known.group_by("video_id", maintain_order=True).agg(
        *(pl.col(c).drop_nulls().last() for c in _LATEST),
        plays=pl.col("play_cnt").sum(),
        likes=pl.col("like_cnt").sum(),
        completes=pl.col("complete_play_cnt").sum(),
    )
    return sums.select(
        "video_id",
        *_LATEST,
        "plays",
        "likes",
        _shrunk("likes").alias("like_view_ratio"),
        _shrunk("completes").alias("complete_play_ratio"),
    ).collect()


def durations_of(views: pl.LazyFrame) -> pl.DataFrame:
    """Return each video's length in the log: video_id, duration_ms (median over its views)."""
    counts = views.group_by("video_id", duration_ms="video_duration_ms").agg(n=pl.len()).collect()
    return weighted_medians(counts, "video_id", "duration_ms").cast({"duration_ms": pl.Int32})


def _shrunk(count: str) -> pl.Expr:
    # as reals: many sums that fit in int64 may together be past it
    total, counted = (pl.col(c).cast(pl.Float64).sum() for c in ("plays", count))
    overall = pl.when(total > 0).then(counted / total).otherwise(0.0)
    shrunk = (pl.col(count) + PRIOR_PLAYS * overall) / (pl.col("plays") + PRIOR_PLAYS)
    return shrunk.cast(pl.Float32)
