"""Test set 2, the holdout: what test users saw and enjoyed after the cut, and what it may prove.

The log says only what became of videos that somebody chose to show, so every figure on it is an
estimate, and there are several. ``exposed_only`` ranks, for each user, the videos they were then
shown. ``all_unseen`` is the usual hold-out: all unseen videos are candidates, what was not shown
counts as not enjoyed. ``popularity_corrected`` and ``inverse_propensity`` weigh the hits of that
same ranking, less for videos that many enjoyed before (Steck 2011, "Item popularity and
recommendation accuracy", with beta = 1/2) or that many were shown then (Yang et al. 2018, "Unbiased
offline recommender evaluation for missing-not-at-random implicit feedback"). ``cold`` is
``exposed_only`` on videos that nobody had seen before the cut; they are in none of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.artifacts.parted_table import PartedTable
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.ranking import rank
from tasks.metrics.registry import METRICS

KS = (10, 20, 50, 100)
LOG_ESTIMATORS = ("exposed_only", "all_unseen", "popularity_corrected", "inverse_propensity")
COLD = "cold"
WEIGHTED = tuple((metric, k) for metric in ("recall", "ndcg") for k in KS)
ENJOYED_SHARE = 0.5
"""A pair counts as enjoyed if this share of its views was."""
LEAST_VIEWERS = 10
"""Fewer count as so many: one lucky hit on a rare video must not decide a mean."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class HoldoutSet:
    """What n test users met next, as dense arrays over all m videos.

    ``unseen`` (n, m): not seen before the cut; ``exposed_only`` (n, m): first seen after it;
    ``enjoyed`` (n, m) the part of these that was; ``is_cold`` (m,). ``enjoyed_before`` and
    ``viewers_next`` (m,): users who enjoyed the video before the cut, and who were first shown it
    after.
    """

    user_idx: NDArray[np.int32]
    unseen: Mask
    shown: Mask
    enjoyed: Mask
    is_cold: Mask
    enjoyed_before: NDArray[np.int64]
    viewers_next: NDArray[np.int64]

    @classmethod
    def of(cls, holdout: PartedTable, pairs: PartedTable, n_videos: int) -> HoldoutSet:
        """Spread the tables ``holdout`` and ``user_item``, the latter of the cut."""
        viewers_next, enjoyed_before = np.zeros((2, n_videos), dtype=np.int64)
        for part in holdout.parts("video_idx"):
            viewers_next += np.bincount(part["video_idx"].to_numpy(), minlength=n_videos)
        tested = holdout.where(pl.col("is_test")).read("user_idx", "video_idx", "enjoyed")
        user_idx = np.unique(tested["user_idx"].to_numpy())
        unseen, shown, enjoyed = np.zeros((3, len(user_idx), n_videos), dtype=bool)

        def mark(matrix: Mask, rows: pl.DataFrame, *, value: bool = True) -> None:
            places = np.searchsorted(user_idx, rows["user_idx"].to_numpy())
            matrix[places, rows["video_idx"].to_numpy()] = value

        unseen[:] = True
        is_tested = pl.col("user_idx").is_in(pl.Series(user_idx).implode())
        is_liked = pl.col("enjoyed") >= ENJOYED_SHARE
        is_cold = np.ones(n_videos, dtype=bool)
        for part in pairs.parts("user_idx", "video_idx", "enjoyed"):
            is_cold[part["video_idx"].to_numpy()] = False
            liked = part.filter(is_liked)["video_idx"].to_numpy()
            enjoyed_before += np.bincount(liked, minlength=n_videos)
            mark(unseen, part.filter(is_tested), value=False)
        mark(shown, tested)
        mark(enjoyed, tested.filter(is_liked))
        return cls(user_idx, unseen, shown, enjoyed, is_cold, enjoyed_before, viewers_next)

    def of_users(self, user_idx: NDArray[np.integer[Any]]) -> HoldoutSet:
        """Return those of consecutive users, ascending, who met anything."""
        ends = [user_idx.min(initial=np.iinfo(np.int32).max), user_idx.max(initial=-1) + 1]
        rows = slice(*np.searchsorted(self.user_idx, ends))
        by_user = ("user_idx", "unseen", "shown", "enjoyed")
        return replace(self, **{name: getattr(self, name)[rows] for name in by_user})


def measure_holdout(days: HoldoutSet, scores: NDArray[np.float32]) -> pl.DataFrame:
    """Measure one model's scores (n, m) by every estimator.

    Returns rows (label, metric, k, user_idx, value), the estimator in place of the label, for every
    figure that is defined. ``exposed_only`` and ``cold`` come with the base rate and the share of
    candidates served, as k = 0. Users with fewer than 10 candidates there are left out.
    """
    warm = days.unseen & ~days.is_cold
    rows = [
        _on_shown(days, scores, "exposed_only", days.shown & ~days.is_cold),
        _on_shown(days, scores, COLD, days.shown & days.is_cold),
    ]
    ranked = rank(scores, warm, KS[-1])
    relevant = days.enjoyed & warm
    plain = accuracy_at_k(ranked, relevant, KS, warm)
    rows.append(_rows(days.user_idx, "all_unseen", plain.columns, plain.values))
    too_short = warm.sum(axis=1)[:, None] < np.array([k for _, k in WEIGHTED])
    for label, viewers, beta in (
        ("popularity_corrected", days.enjoyed_before, 0.5),
        ("inverse_propensity", days.viewers_next, 1.0),
    ):
        weights = np.maximum(viewers, LEAST_VIEWERS).astype(np.float64) ** -beta
        weighted = weighted_accuracy(ranked, relevant, weights)
        weighted[too_short] = np.nan
        rows.append(_rows(days.user_idx, label, WEIGHTED, weighted))
    return pl.concat(rows)


def together(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return what ``measure_holdout`` says of some users after the other as if it were of all."""
    key = ["label", "metric", "k"]
    schema = {"label": pl.String, "metric": pl.String, "k": pl.Int32}
    order = pl.DataFrame(figures_in_order(), schema=schema, orient="row").with_row_index("place")
    rows = pl.concat(parts).join(order, on=key, how="left", maintain_order="left")
    return rows.sort("place", maintain_order=True).drop("place")


def figures_in_order() -> list[tuple[str, str, int]]:
    """Return label, metric and k of all figures, in the order of the rows."""
    plain = [(metric.name, k) for metric in METRICS for k in KS]
    shown = [*plain, ("base_rate", 0), ("served", 0)]
    columns = {
        "exposed_only": shown,
        COLD: shown,
        "all_unseen": plain,
        "popularity_corrected": WEIGHTED,
        "inverse_propensity": WEIGHTED,
    }
    return [(label, metric, k) for label, of_label in columns.items() for metric, k in of_label]


def weighted_accuracy(ranked: NDArray[np.int32], relevant: Mask, weights: Floats) -> Floats:
    """Measure lists by hits that weigh ``weights`` (m,): (n, 8), the columns ``WEIGHTED``.

    recall@k is the weight of the relevant videos in the list over that of all relevant; in ndcg@k a
    hit gains its weight, and the ideal list has the heaviest relevant videos first. With equal
    weights both are those of ``accuracy_at_k``. NaN for users without a relevant video.
    """
    rows = np.arange(len(ranked))[:, None]
    is_hit = (ranked >= 0) & relevant[rows, ranked]
    hit = np.where(is_hit, weights[ranked], 0.0)
    gain = np.nan_to_num(packed(np.broadcast_to(weights, relevant.shape), relevant))
    total = gain.sum(axis=1)
    best = -np.sort(-gain, axis=1)[:, : KS[-1]]
    discount = 1.0 / np.log2(np.arange(2, KS[-1] + 2))
    values: list[Floats] = []
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN we promise
        # Sums in another order round differently: what is whole must not come out above 1
        values.extend(np.minimum(hit[:, :k].sum(axis=1) / total, 1.0) for k in KS)
        for k in KS:
            ideal = best[:, :k] @ discount[: best[:, :k].shape[1]]
            values.append(np.minimum(hit[:, :k] @ discount[:k] / ideal, 1.0))
    return np.stack(values, axis=1)


def packed(matrix: NDArray[Any], cells: Mask) -> Floats:
    """Return only the ``cells`` (n, m) of each row of a matrix, in their order: (n, most), NaN."""
    # Of one dimension, where nonzero of two takes eight times as long
    rows, columns = np.divmod(np.flatnonzero(cells), cells.shape[1])
    counts = np.bincount(rows, minlength=len(cells))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = np.full((len(cells), int(counts.max(initial=0))), np.nan)
    kept[rows, places] = matrix[rows, columns]
    return kept


def _on_shown(
    days: HoldoutSet, scores: NDArray[np.float32], label: str, shown: Mask
) -> pl.DataFrame:
    """Rank each user's own candidates, and count how many of them the model can serve."""
    enough = shown.sum(axis=1) >= KS[0]
    shown = shown[enough]
    own = packed(scores[enough], shown).astype(np.float32)
    enjoyed = packed(days.enjoyed[enough], shown)
    candidates = ~np.isnan(enjoyed)
    accuracy = accuracy_at_k(rank(own, candidates, KS[-1]), enjoyed == 1, KS, candidates)
    served = (~np.isnan(own)).sum(axis=1) / candidates.sum(axis=1)
    columns = (*accuracy.columns, ("base_rate", 0), ("served", 0))
    values = np.column_stack([accuracy.values, accuracy.base_rate, served])
    return _rows(days.user_idx[enough], label, columns, values)


def _rows(
    user_idx: NDArray[np.int32], label: str, columns: tuple[tuple[str, int], ...], values: Floats
) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame({"user_idx": user_idx, "value": values[:, c]})
        .filter(pl.col("value").is_not_nan())
        .select(
            pl.lit(label).alias("label"),
            pl.lit(metric).alias("metric"),
            pl.lit(k, pl.Int32).alias("k"),
            "user_idx",
            "value",
        )
        for c, (metric, k) in enumerate(columns)
    )
