"""What lists are like apart from being right: their reach, popularity, variety and novelty.

A new measure is a function here and one line in ``MEASURES``: tables and MLflow's charts follow.
Every function takes ``shown``, int32 (n, k): the first k columns of what ``rank`` returned, each
video at most once a row, -1 where a list has ended. Figures of single users are float64 (n,), NaN
for a user to whom the figure does not apply, and go as columns into ``bootstrap_mean``. Not here:
whether the videos were relevant (``tasks.metrics.accuracy``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.metrics.bootstrap import bootstrap_mean


def catalogue_coverage(shown: NDArray[np.int32], candidates: NDArray[np.bool_]) -> float:
    """Return the share of candidate videos that are shown to at least one user.

    ``candidates`` is bool (m,): videos that are a candidate for somebody. NaN if there is none.
    Ge, Delgado-Battenfeld and Jannach (2010), "Beyond accuracy".
    """
    if not candidates.any():
        return float("nan")
    is_shown = _times_shown(shown, len(candidates)) > 0
    return float((is_shown & candidates).sum() / candidates.sum())


def popularity_percentiles(popularity: NDArray[Any]) -> NDArray[np.float64]:
    """Return the place of each video among all by popularity, (m,), 0 = least to 1 = most.

    It is (mean rank - 1/2) / m. Tied videos share their mean rank, so that the percentiles always
    average to 1/2: a list above that favours popular videos. A NaN in ``popularity`` is a
    ValueError.
    """
    from scipy.stats import rankdata  # takes seconds to import

    if np.isnan(popularity).any():
        raise ValueError("popularity has NaN: a video without views has popularity 0")
    percentiles: NDArray[np.float64] = (rankdata(popularity) - 0.5) / max(len(popularity), 1)
    return percentiles


def mean_popularity_percentile(
    shown: NDArray[np.int32], popularity: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the mean popularity percentile of each user's list; NaN for an empty list.

    ``popularity`` (m,) is any figure that grows with it, such as views before ``as_of``. After
    Abdollahpouri, Burke and Mobasher (2019), "Managing popularity bias in recommender systems".
    """
    return _mean_over_list(shown, popularity_percentiles(popularity))


def tag_diversity(shown: NDArray[np.int32], tags: sparse.csr_matrix) -> NDArray[np.float64]:
    """Return each user's mean of 1 - cosine over all pairs of videos of the list, 0 to 1.

    ``tags`` holds the non-negative tag vectors, (m, n_tags). A video without tags is unknown, not
    different from all others, and is left out; NaN with fewer than two tagged videos. Intra-list
    diversity: Ziegler et al. (2005), "Improving recommendation lists through topic
    diversification". With unit vectors u the pairs need no loop, as
    sum(u_i . u_j, i != j) = |sum(u_i)|^2 - k.
    """
    vectors = sparse.csr_matrix(tags, dtype=np.float64)
    norms = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    is_tagged = norms > 0
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=is_tagged)
    lists = _list_matrix(shown, vectors.shape[0])
    total = (lists @ (sparse.diags_array(scale) @ vectors)).toarray()
    n_tagged = lists @ is_tagged.astype(np.float64)
    n_pairs = n_tagged * (n_tagged - 1)
    similarity = (total**2).sum(axis=1) - n_tagged
    diversity = np.full(len(shown), np.nan)
    np.divide(n_pairs - similarity, n_pairs, out=diversity, where=n_pairs > 0)
    return diversity.clip(0.0, 1.0)  # rounding alone leaves the bounds


def novelty(
    shown: NDArray[np.int32], n_viewers: NDArray[np.integer[Any]], n_users: int
) -> NDArray[np.float64]:
    """Return the mean self-information of each user's list in bits; NaN for an empty list.

    A video that ``n_viewers`` (m,) of ``n_users`` users saw carries -log2(n_viewers / n_users); one
    that nobody saw counts as seen by one user, which is the most that can be told from n_users.
    Zhou et al. (2010), "Solving the apparent diversity-accuracy dilemma of recommender systems".
    """
    if n_users < 1 or (n_viewers < 0).any() or (n_viewers > n_users).any():
        raise ValueError(
            f"n_viewers must be within 0 and n_users={n_users}, which must be 1 or more"
        )
    bits = np.log2(n_users / np.maximum(n_viewers, 1))
    return _mean_over_list(shown, bits)


def personalisation(shown: NDArray[np.int32]) -> float:
    """Return the mean of 1 - overlap / k over all pairs of users: 0 all lists alike, 1 no overlap.

    Users with fewer than k videos are left out; NaN with fewer than two users. The overlaps are
    counted exactly, by video: one shown c times is shared by c (c - 1) / 2 pairs. Zhou et al.
    (2010), who call it the inter-user Hamming distance.
    """
    full = shown[(shown >= 0).all(axis=1)]
    n, k = full.shape
    if n < 2 or k == 0:
        return float("nan")
    times = _times_shown(full, int(full.max()) + 1)
    return float(1.0 - (times * (times - 1)).sum() / (n * (n - 1) * k))


@dataclass(frozen=True)
class Lists:
    """The lists ``shown`` and what measures may look at beside them.

    ``candidates`` and ``views`` are (m,), the latter counted before the cut, as is ``n_views`` over
    all videos there are; ``tags`` is (m, n_tags).
    """

    shown: NDArray[np.int32]
    candidates: NDArray[np.bool_]
    views: NDArray[np.integer[Any]]
    n_views: int
    tags: sparse.csr_matrix


@dataclass(frozen=True)
class Measure:
    """A figure of each user's list, float64 (n,), whose mean is shown with its 95 % interval."""

    name: str
    formula: Callable[[Lists], NDArray[np.float64]]
    words: str


@dataclass(frozen=True)
class MeasureOfAll:
    """A figure of all lists together, without an interval; ``users`` counts whose lists count."""

    name: str
    formula: Callable[[Lists], float]
    users: Callable[[Lists], int]
    words: str


MEASURES = (
    MeasureOfAll(
        "coverage",
        lambda lists: catalogue_coverage(lists.shown, lists.candidates),
        lambda lists: int((lists.shown >= 0).any(axis=1).sum()),
        "share of candidate videos shown to somebody",
    ),
    Measure(
        "popularity_percentile",
        lambda lists: mean_popularity_percentile(lists.shown, lists.views),
        "mean place of the list's videos among all by popularity, 0 = least to 1 = most",
    ),
    Measure(
        "tag_diversity",
        lambda lists: tag_diversity(lists.shown, lists.tags),
        "mean of 1 - cosine of the tags over all pairs of the list",
    ),
    Measure(
        "novelty",
        # of a view: a video carries -log2(views / n_views) bits
        lambda lists: novelty(lists.shown, lists.views, lists.n_views),
        "mean self-information of a view of the list's videos, in bits",
    ),
    MeasureOfAll(
        "personalisation",
        lambda lists: personalisation(lists.shown),
        lambda lists: int((lists.shown >= 0).all(axis=1).sum()),
        "mean of 1 - overlap / k over all pairs of users",
    ),
)
"""All measures, in the order of the table's rows."""


def beyond_accuracy_of(lists: Lists, seed: int) -> pl.DataFrame:
    """Measure lists in all ways: rows of ``beyond_accuracy`` without the model.

    Figures of single users are means with 95 % bootstrap intervals, those of all lists together
    have none. ``users`` are those whose lists count. One draw of users serves all measures.
    """
    by_user = [measure for measure in MEASURES if isinstance(measure, Measure)]
    values = np.stack([measure.formula(lists) for measure in by_user], axis=1)
    interval = bootstrap_mean(values, seed)
    users = (~np.isnan(values)).sum(axis=0)
    figures = zip(interval.mean, interval.low, interval.high, users, strict=True)
    rows: dict[str, tuple[float, float, float, int]] = {
        measure.name: figure for measure, figure in zip(by_user, figures, strict=True)
    }
    for measure in MEASURES:
        if isinstance(measure, MeasureOfAll):
            rows[measure.name] = measure.formula(lists), np.nan, np.nan, measure.users(lists)
    return pl.DataFrame(
        [(measure.name, *rows[measure.name]) for measure in MEASURES],
        schema={
            "measure": pl.String,
            **dict.fromkeys(("value", "low", "high"), pl.Float64),
            "users": pl.Int32,
        },
        orient="row",
    ).with_columns(pl.col("value", "low", "high").fill_nan(None))


def _times_shown(shown: NDArray[np.int32], n_videos: int) -> NDArray[np.int64]:
    """Return to how many users each video is shown, (n_videos,)."""
    times: NDArray[np.int64] = np.bincount(shown[shown >= 0], minlength=n_videos)
    return times


def _list_matrix(shown: NDArray[np.int32], n_videos: int) -> sparse.csr_array:
    """Return the lists as rows of ones, CSR (n, n_videos)."""
    is_video = shown >= 0
    starts = np.concatenate([[0], np.cumsum(is_video.sum(axis=1))])
    columns = shown[is_video]
    return sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(len(shown), n_videos))


def _mean_over_list(shown: NDArray[np.int32], figure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of a figure of the videos (m,) over each list; NaN for an empty list."""
    lengths = (shown >= 0).sum(axis=1)
    sums = np.append(figure, 0.0)[shown].sum(axis=1)  # the -1 of padding reads the last, 0
    means = np.full(len(shown), np.nan)
    np.divide(sums, lengths, out=means, where=lengths > 0)
    return means
