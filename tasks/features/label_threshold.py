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

BUCKETS = 20
QUANTILE = 0.8
LEAST_THRESHOLD = 1e-6
"""A bucket in which four of five views last 0 s must still have a logarithm."""
ROUNDING = 1e-9
"""exp(log(x)) can come out a little below x: a view just at the threshold must not pass by that."""


def fit_threshold(views: pl.DataFrame) -> pl.DataFrame:
    """Fit the threshold on training views: video_duration_ms and watch_ratio, one row per view.

    Returns the knots as a table ``label_threshold``; fewer than 20 where lengths repeat so much
    that buckets fall together. ContractError without any view.
    """
    if views.is_empty():
        raise ContractError("the enjoyed label needs at least one view to be fitted on")
    ranks = (pl.col("video_duration_ms").rank("average") - 0.5) / pl.len()
    knots = (
        views.lazy()
        .select("video_duration_ms", "watch_ratio", bucket=(ranks * BUCKETS).floor().cast(pl.Int8))
        .group_by("bucket")
        .agg(
            duration_ms=pl.col("video_duration_ms").median().cast(pl.Float64),
            watch_ratio=pl.col("watch_ratio").quantile(QUANTILE, "linear").clip(LEAST_THRESHOLD),
        )
        .group_by("duration_ms")
        .agg(pl.col("watch_ratio").max())
        .sort("duration_ms")
    )
    return knots.collect()


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
