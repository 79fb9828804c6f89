"""Drift: how far tonight's days of the log have moved from the days before them.

The measure is the population stability index, Kullback and Leibler's symmetric divergence (1951) of
two histograms; the usual reading is by Siddiqi, "Credit Risk Scorecards" (2006): below 0.1 nothing
has changed, above 0.25 much has.
"""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.features.cutoff import SHANGHAI, before
from tasks.features.order_statistics import values_at

BINS = 10
FLOOR = 1e-4
"""Least share of a bin: an empty one would make the index infinite."""
UNTAGGED = -1
"""Stands for the tag of a video that has none."""

Numbers = NDArray[np.float64] | NDArray[np.int64]
Counts = NDArray[np.int64]


def stability_index(counts: Counts, reference: Counts) -> float:
    r"""Return the population stability index of two histograms (b,) over the same bins.

    With shares p and q, each at least ``FLOOR``, :math:`\sum_b (p_b - q_b) \ln(p_b / q_b)`: 0 for
    equal shares, and the same both ways. ValueError if a histogram is empty.
    """
    if not counts.sum() or not reference.sum():
        raise ValueError("a histogram without counts has no shares")
    p = np.maximum(counts / counts.sum(), FLOOR)
    q = np.maximum(reference / reference.sum(), FLOOR)
    return float(((p - q) * np.log(p / q)).sum())


def equal_count_edges(reference: Numbers, bins: int = BINS) -> NDArray[np.float64]:
    """Return the inner edges, ascending, of bins that hold equally many values of ``reference``.

    Fewer than ``bins`` - 1 where a value is so frequent that it would fill several bins.
    """
    shares = np.arange(1, bins) / bins
    return np.unique(np.quantile(reference, shares, method="inverted_cdf")).astype(np.float64)


def histogram(values: Numbers, edges: NDArray[np.float64]) -> Counts:
    """Count values by bin: (len(edges) + 1,); a value on an edge belongs to the bin below it."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def number_drift(values: Numbers, reference: Numbers, edges: tuple[float, ...] = ()) -> float:
    """Return the stability index of numbers, in bins fixed by the reference.

    Such bins are the same on every increasing scale, so the logarithm of a ratio needs not be
    taken. Given ``edges`` cut them further.
    """
    cuts = np.union1d(equal_count_edges(reference), np.asarray(edges, dtype=np.float64))
    return stability_index(histogram(values, cuts), histogram(reference, cuts))


def ranks_of_edges(n: int) -> NDArray[np.int64]:
    """Return the ranks, from 0, at which ``equal_count_edges`` finds its edges among ``n`` values.

    ValueError if there is no value.
    """
    if not n:
        raise ValueError("a histogram without counts has no shares")
    shares = np.arange(1, BINS) / BINS
    return np.unique(np.maximum(np.ceil(n * shares - 1), 0).astype(np.int64))


def ratio_drift(views: pl.LazyFrame, n_early: int) -> float:
    """Return ``number_drift`` of the watch ratios of late views against the ``n_early`` others.

    ``views`` has ``watch_ratio`` and ``is_late``; they are counted, and never all in memory.
    """
    asked = pl.DataFrame({"is_late": False, "rank": ranks_of_edges(n_early)})
    cuts = values_at(views, "is_late", "watch_ratio", asked)["watch_ratio"].unique().sort()
    bins = pl.sum_horizontal((pl.col("watch_ratio") > cut).cast(pl.Int32) for cut in cuts)
    counts = views.group_by("is_late", bins.alias("bin")).agg(n=pl.len().cast(pl.Int64)).collect()
    histograms = np.zeros((2, len(cuts) + 1), dtype=np.int64)
    places = counts["is_late"].cast(pl.Int8).to_numpy(), counts["bin"].to_numpy()
    histograms[places] = counts["n"].to_numpy()
    return stability_index(histograms[1], histograms[0])


def length_drift(by_length: pl.DataFrame) -> float:
    """Return ``number_drift`` of lengths, late views against the others, from counts of views.

    ``by_length`` has ``is_late``, ``video_duration_ms`` and ``views``.
    """
    late, early = _late_and_early(by_length.sort("video_duration_ms"))
    ends = early["views"].cum_sum().to_numpy()
    ranks = ranks_of_edges(int(early["views"].sum()))
    cuts = np.unique(early["video_duration_ms"].to_numpy()[np.searchsorted(ends, ranks, "right")])
    histograms = (
        np.bincount(
            np.searchsorted(cuts, part["video_duration_ms"].to_numpy(), side="left"),
            part["views"].to_numpy(),
            len(cuts) + 1,
        )
        for part in (late, early)
    )
    return stability_index(*(counts.astype(np.int64) for counts in histograms))


def log_drift(
    log: pl.LazyFrame, videos: pl.DataFrame, backtest_day: date, as_of: date
) -> dict[str, float]:
    """Return the stability index of the days from ``backtest_day`` on against those before.

    By name: ``watch_ratio`` and ``video_length`` of views, ``tags`` (each view counts for every
    tag of its video), and ``activity``, the views of a user on a day. ``log`` holds user_id,
    video_id, viewed_at, watch_ratio and video_duration_ms; ``videos`` video_id and tags. ValueError
    if one of the two stretches has no view.
    """
    is_late = (~before(backtest_day)).alias("is_late")
    day = pl.col("viewed_at").dt.convert_time_zone(str(SHANGHAI)).dt.date().alias("day")
    n_views = pl.len().cast(pl.Int64).alias("views")
    views = log.filter(before(as_of))
    by = (("video_id",), ("video_duration_ms",), ("user_id", day))
    # One query after the other: what several share, `collect_all` keeps in memory, all the views
    by_video, by_length, visits = (
        views.group_by(is_late, *keys).agg(n_views).collect() for keys in by
    )
    n_early = int(by_length.filter(~pl.col("is_late"))["views"].sum())
    drift = {
        "watch_ratio": ratio_drift(views.select(is_late, "watch_ratio"), n_early),
        "video_length": length_drift(by_length),
    }
    tags = (_by_tag(part, videos) for part in _late_and_early(by_video))
    drift["tags"] = stability_index(*_aligned(*tags))
    late, early = _late_and_early(visits)
    activity = _activity(late, visits["user_id"].n_unique())
    reference = _activity(early, early["user_id"].n_unique())
    # Staying away is a bin of its own, however rare it was before
    drift["activity"] = number_drift(activity, reference, edges=(0.0,))
    return drift


def _late_and_early(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into those of tonight's days and those of the days before."""
    return rows.filter("is_late"), rows.filter(~pl.col("is_late"))


def _by_tag(by_video: pl.DataFrame, videos: pl.DataFrame) -> pl.DataFrame:
    """Count views by tag: columns tag and views."""
    tagged = by_video.join(videos.select("video_id", "tags"), on="video_id", how="left")
    return (
        tagged.explode("tags", empty_as_null=True)
        .select(pl.col("tags").cast(pl.Int64).fill_null(UNTAGGED).alias("tag"), "views")
        .group_by("tag")
        .agg(pl.col("views").sum())
    )


def _aligned(counts: pl.DataFrame, reference: pl.DataFrame) -> tuple[Counts, Counts]:
    """Put both counts over all the tags of either, ascending."""
    both = counts.join(reference, on="tag", how="full", coalesce=True).fill_null(0).sort("tag")
    return both["views"].to_numpy(), both["views_right"].to_numpy()


def _activity(visits: pl.DataFrame, users: int) -> NDArray[np.int64]:
    """Views of each of ``users`` known by then on each day with any views; 0 for who stayed away.

    By the day, so that stretches of different length compare.
    """
    away = users * visits["day"].n_unique() - visits.height
    return np.concatenate([np.zeros(away, dtype=np.int64), visits["views"].to_numpy()])
