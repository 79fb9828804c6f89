"""Where a model is good: NDCG@10 on parts of the exam's users, videos and cells.

Which cells a part holds depends on the data alone, never on a model. Inside a part only its cells
are candidates, and the model's list is made anew from them. Not here: figures of the whole exam
(``tasks.metrics.eval_set``) and what lists are like (``tasks.metrics.beyond_accuracy``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import Exam
from tasks.metrics.labels import PRIMARY
from tasks.metrics.ranking import rank

K = 10

QUARTERS = {
    "activity": ("least active", "less active", "more active", "most active"),
    "length": ("shortest", "shorter", "longer", "longest"),
    "popularity": ("least viewed", "less viewed", "more viewed", "most viewed"),
}


@dataclass(frozen=True)
class Part:
    """A part of a slice: its name for people, its place in the slice, and what it holds.

    ``cells`` is bool of a shape that broadcasts to the exam's (n, m): (n, 1) a part of the users,
    (1, m) a part of the videos.
    """

    slice: str
    name: str
    place: int
    cells: NDArray[np.bool_]


def parts_of(
    exam: Exam, user_views: NDArray[np.int32], video_views: NDArray[np.int32]
) -> list[Part]:
    """Cut the exam by stage of the cell, activity of the user, length and popularity of the video.

    ``user_views`` (n,) and ``video_views`` (m,) are counted before the cut. The last three slices
    are in quarters of equal count. Cells of unknown stage are in neither part of ``stage``.
    """
    stages = [Part("stage", f"stage {stage}", stage, exam.stage == stage) for stage in (1, 2)]
    return [
        *stages,
        *_quarters("activity", user_views, _count, axis=1),
        *_quarters("length", exam.duration_ms, _seconds, axis=0),
        *_quarters("popularity", video_views, _count, axis=0),
    ]


def quarters_of(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the quarter, 0 to 3, of each value (n,), lowest first.

    Quarters differ in size by one at most; at a border equal values go by their place in the array,
    which is that of the id.
    """
    quarter = np.empty(len(values), dtype=np.int64)
    quarter[np.argsort(values, kind="stable")] = np.arange(len(values)) * 4 // max(len(values), 1)
    return quarter


def slices_of(
    exam: Exam, scores: NDArray[np.float32], parts: list[Part], seed: int
) -> pl.DataFrame:
    """Measure one model's scores (n, m) on every part: rows of ``slices`` without the model.

    Mean and interval are over users with a relevant candidate and at least 10 candidates in the
    part, and so is ``base_rate``, the mean share of relevant candidates. Others are left out, as
    NDCG@10 is not defined for them; a part without any user has nulls and 0 users. One draw of
    users serves all parts.
    """
    relevant = exam.relevant[PRIMARY]
    measured = [_measure_part(exam, relevant, scores, part.cells) for part in parts]
    ndcg, base_rate = np.stack(measured, axis=2)
    interval = bootstrap_mean(ndcg, seed)
    users = (~np.isnan(ndcg)).sum(axis=0)
    base_rates = np.full(len(parts), np.nan)
    np.divide(np.nansum(base_rate, axis=0), users, out=base_rates, where=users > 0)
    return pl.DataFrame(
        {
            "slice": [part.slice for part in parts],
            "part": [part.name for part in parts],
            "place": np.array([part.place for part in parts], dtype=np.int8),
            "mean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "base_rate": base_rates,
            "users": users.astype(np.int32),
        }
    ).with_columns(pl.col("mean", "low", "high", "base_rate").fill_nan(None))


def _measure_part(
    exam: Exam,
    relevant: NDArray[np.bool_],
    scores: NDArray[np.float32],
    cells: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return NDCG@10 and the base rate of each user (2, n); NaN for a user who does not count."""
    shape = exam.candidates.shape
    users = np.broadcast_to(cells.any(axis=1), shape[:1])
    videos = np.broadcast_to(cells.any(axis=0), shape[1:])

    def inside(matrix: NDArray[Any]) -> NDArray[Any]:
        # The smallest rectangle around the part: four quarters cost as much as the whole exam.
        return matrix.compress(users, axis=0).compress(videos, axis=1)

    candidates = inside(exam.candidates) & inside(np.broadcast_to(cells, shape))
    relevant = inside(relevant) & candidates
    ranked = rank(inside(scores), candidates, K)
    accuracy = accuracy_at_k(ranked, relevant, [K], candidates)
    ndcg = accuracy.of("ndcg", K)
    figures = np.full((2, shape[0]), np.nan)
    figures[:, users] = ndcg, np.where(np.isnan(ndcg), np.nan, accuracy.base_rate)
    return figures


def _quarters(
    slice_: str, values: NDArray[Any], described: Callable[[int, int], str], axis: int
) -> list[Part]:
    """Cut users (axis 1 is broadcast) or videos (axis 0 is) into four by their values."""
    quarter = quarters_of(values)
    parts = []
    for i, word in enumerate(QUARTERS[slice_]):
        inside = quarter == i
        held = values[inside]
        limits = described(held.min(), held.max()) if held.size else "none"
        parts.append(Part(slice_, f"{word}: {limits}", i + 1, np.expand_dims(inside, axis)))
    return parts


def _count(low: int, high: int) -> str:
    return f"{low:,} to {high:,} views"


def _seconds(low: int, high: int) -> str:
    return f"{low / 1000:.1f} to {high / 1000:.1f} s"
