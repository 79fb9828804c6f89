"""Where a model is good: NDCG@10 on parts of the eval set's users, videos and cells.

A new slice is a function here and one line in ``SLICES``: tables, figures and the gate follow.
Which cells a part holds depends on the data alone, never on a model. Inside a part only its cells
are candidates, and the model's list is made anew from them. Not here: figures of the whole eval set
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
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.labels import PRIMARY
from tasks.metrics.ranking import rank

K = 10

Mask = NDArray[np.bool_]
Parts = list[tuple[str, Mask]]
"""The parts of one slice in their order: each by its name for people, and the cells it holds."""


@dataclass(frozen=True)
class Part:
    """A part of a slice: its name for people, its place in the slice, and what it holds.

    ``cells`` is bool of a shape that broadcasts to the eval set's (n, m): (n, 1) a part of the
    users, (1, m) a part of the videos.
    """

    slice: str
    name: str
    place: int
    cells: NDArray[np.bool_]


@dataclass(frozen=True)
class SliceInputs:
    """What a slice may look at: the eval set, and the features of its n users and m videos."""

    eval_set: EvalSet
    users: pl.DataFrame
    videos: pl.DataFrame


@dataclass(frozen=True)
class Slice:
    """A way to cut the eval set into parts; ``words`` head its panel.

    No cell may be in two of the parts that ``cut`` returns.
    """

    name: str
    cut: Callable[[SliceInputs], Parts]
    words: str


def by_stage(inputs: SliceInputs) -> Parts:
    """Cut by the stage of the cell; cells of unknown stage are in neither part."""
    return [(f"stage {stage}", inputs.eval_set.stage == stage) for stage in (1, 2)]


def by_activity(inputs: SliceInputs) -> Parts:
    """Cut users into quarters by their views before the cut."""
    names = ("least active", "less active", "more active", "most active")
    return _quarters(names, inputs.users["views"].to_numpy(), _count, axis=1)


def by_length(inputs: SliceInputs) -> Parts:
    """Cut videos into quarters by their length."""
    names = ("shortest", "shorter", "longer", "longest")
    return _quarters(names, inputs.eval_set.duration_ms, _seconds, axis=0)


def by_popularity(inputs: SliceInputs) -> Parts:
    """Cut videos into quarters by their views before the cut."""
    names = ("least viewed", "less viewed", "more viewed", "most viewed")
    return _quarters(names, inputs.videos["views"].to_numpy(), _count, axis=0)


SLICES = (
    Slice("stage", by_stage, "stage of the cell"),
    Slice("activity", by_activity, "activity of the user"),
    Slice("length", by_length, "length of the video"),
    Slice("popularity", by_popularity, "popularity of the video"),
)
"""All slices, in the order of the table's rows and of the panels."""


def parts_of(eval_set: EvalSet, users: pl.DataFrame, videos: pl.DataFrame) -> list[Part]:
    """Cut the eval set in all ways; ``users`` (n rows), ``videos`` (m rows) are their features."""
    inputs = SliceInputs(eval_set, users, videos)
    return [
        Part(slice_.name, name, place, cells)
        for slice_ in SLICES
        for place, (name, cells) in enumerate(slice_.cut(inputs), start=1)
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
    eval_set: EvalSet, scores: NDArray[np.float32], parts: list[Part], seed: int
) -> pl.DataFrame:
    """Measure one model's scores (n, m) on every part: rows of ``slices`` without the model.

    Mean and interval are over users with a relevant candidate and at least 10 candidates in the
    part, and so is ``base_rate``, the mean share of relevant candidates. Others are left out, as
    NDCG@10 is not defined for them; a part without any user has nulls and 0 users. One draw of
    users serves all parts.
    """
    relevant = eval_set.relevant[PRIMARY]
    measured = [_measure_part(eval_set, relevant, scores, part.cells) for part in parts]
    ndcg, base_rate = np.stack(measured, axis=2)
    interval = bootstrap_mean(ndcg, seed)
    users = (~np.isnan(ndcg)).sum(axis=0)
    base_rates = np.full(len(parts), np.nan)
    np.divide(np.nansum(base_rate, axis=0), users, out=base_rates, where=users > 0)
    return pl.DataFrame(
        {
            "slice": [part.slice for part in parts],
            "slice_value": [part.name for part in parts],
            "place": np.array([part.place for part in parts], dtype=np.int8),
            "mean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "base_rate": base_rates,
            "users": users.astype(np.int32),
        }
    ).with_columns(pl.col("mean", "low", "high", "base_rate").fill_nan(None))


def _measure_part(
    eval_set: EvalSet,
    relevant: NDArray[np.bool_],
    scores: NDArray[np.float32],
    cells: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return NDCG@10 and the base rate of each user (2, n); NaN for a user who does not count."""
    shape = eval_set.candidates.shape
    users = np.broadcast_to(cells.any(axis=1), shape[:1])
    videos = np.broadcast_to(cells.any(axis=0), shape[1:])

    def inside(matrix: NDArray[Any]) -> NDArray[Any]:
        # The smallest rectangle around the part: four quarters cost as much as the whole eval set.
        return matrix.compress(users, axis=0).compress(videos, axis=1)

    candidates = inside(eval_set.candidates) & inside(np.broadcast_to(cells, shape))
    relevant = inside(relevant) & candidates
    ranked = rank(inside(scores), candidates, K)
    accuracy = accuracy_at_k(ranked, relevant, [K], candidates)
    ndcg = accuracy.of("ndcg", K)
    figures = np.full((2, shape[0]), np.nan)
    figures[:, users] = ndcg, np.where(np.isnan(ndcg), np.nan, accuracy.base_rate)
    return figures


def _quarters(
    names: tuple[str, str, str, str],
    values: NDArray[Any],
    described: Callable[[int, int], str],
    axis: int,
) -> Parts:
    """Cut users (axis 1 is broadcast) or videos (axis 0 is) into four by their values."""
    quarter = quarters_of(values)
    parts = []
    for i, name in enumerate(names):
        inside = quarter == i
        held = values[inside]
        limits = described(held.min(), held.max()) if held.size else "none"
        parts.append((f"{name}: {limits}", np.expand_dims(inside, axis)))
    return parts


def _count(low: int, high: int) -> str:
    return f"{low:,} to {high:,} views"


def _seconds(low: int, high: int) -> str:
    return f"{low / 1000:.1f} to {high / 1000:.1f} s"
