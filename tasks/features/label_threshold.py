r"""The length-debiased label: a view is enjoyed if it outlasts most views of videos of like length.

People watch about 7.5 s whatever the length, so a bare watch ratio mostly measures how short a
video is. The threshold is the 80th percentile of the watch ratio at the video's length, as a smooth
curve: quantiles of 20 equal-count length buckets, interpolated in (log length, log threshold), with
slope -1 (constant play time) beyond the first and last bucket. Inside plain buckets the shortest
videos would win.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ContractError
from tasks.features.order_statistics import values_at, weighted_medians

BUCKETS = 20
QUANTILE = 0.8
LEAST_THRESHOLD = 1e-6
"""A bucket in which four of five views last 0 s must still have a logarithm."""
ROUNDING = 1e-9
"""exp(log(x)) can come out a little below x: a view just at the threshold must not pass by that."""


def fit_threshold(views: pl.LazyFrame) -> pl.DataFrame:
    """Fit the threshold on training views: video_duration_ms and watch_ratio, one row per view.

    Returns the knots as a table ``label_threshold``; fewer than 20 where lengths repeat so much
    that buckets fall together. ContractError without any view. Views are counted, never sorted.
    """
    lengths = views.group_by("video_duration_ms").agg(n=pl.len().cast(pl.Int64)).collect()
    if lengths.is_empty():
        raise ContractError("the enjoyed label needs at least one view to be fitted on")
    buckets = bucketed(lengths)
    quantiles = quantile_by_bucket(views, buckets)
    return (
        weighted_medians(buckets, "bucket", "video_duration_ms")
        .join(quantiles, on="bucket")
        .group_by(duration_ms="video_duration_ms")
        .agg(pl.col("watch_ratio").clip(LEAST_THRESHOLD).max())
        .sort("duration_ms")
    )


def bucketed(lengths: pl.DataFrame) -> pl.DataFrame:
    """Add to each length, of ``n`` views, the bucket of the views' mean rank."""
    ends = pl.col("n").cum_sum()
    ranks = (ends - pl.col("n") + ends + 1) / 2 - 0.5
    bucket = (ranks / pl.col("n").sum() * BUCKETS).floor().cast(pl.Int8)
    return lengths.sort("video_duration_ms").with_columns(bucket=bucket)


def quantile_by_bucket(views: pl.LazyFrame, buckets: pl.DataFrame) -> pl.DataFrame:
    """Return the ``QUANTILE`` of watch ratios in each bucket, between ranks linearly."""
    last = buckets.group_by("bucket").agg(last=pl.col("n").sum() - 1)
    place = QUANTILE * pl.col("last")
    ends = last.select("bucket", place=place, below=place.floor(), above=place.ceil())
    ranks = pl.concat(
        [ends.select("bucket", rank=pl.col(name).cast(pl.Int64)) for name in ("below", "above")]
    )
    of_view = views.join(
        buckets.lazy().select("video_duration_ms", "bucket"), on="video_duration_ms"
    )
    values = values_at(of_view, "bucket", "watch_ratio", ranks.unique())
    low, high = pl.col("watch_ratio").min(), pl.col("watch_ratio").max()
    share = (pl.col("place") - pl.col("below")).first()
    joined = values.join(ends, on="bucket")
    return joined.group_by("bucket").agg(watch_ratio=share * (high - low) + low)


def enjoyed_threshold(curve: pl.DataFrame, duration_ms: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the watch ratio above which a view of a video of each length counts as enjoyed."""
    log_knots = np.log(curve["duration_ms"].to_numpy())
    log_thresholds = np.log(curve["watch_ratio"].to_numpy())
    log_length = np.log(np.asarray(duration_ms, dtype=np.float64))
    inside = np.clip(log_length, log_knots[0], log_knots[-1])
    threshold = np.interp(inside, log_knots, log_thresholds) - (log_length - inside)
    return np.asarray(np.exp(threshold))


def is_enjoyed(
    curve: pl.DataFrame, duration_ms: NDArray[np.int32], watch_ratio: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Label views: true where the watch ratio is above the threshold at the video's length."""
    return np.asarray(watch_ratio > enjoyed_threshold(curve, duration_ms) * (1 + ROUNDING))
