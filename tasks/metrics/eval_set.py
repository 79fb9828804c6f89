"""Test set 1, the fully observed block, as arrays: who is asked, about what, and what was relevant.

Candidates of a user are exactly the block videos whose cell is observed. Users are cut in two by
the table's ``is_test``: validation users are for choosing, test users for reporting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.artifacts.parted_table import PartedTable
from tasks.features.order_statistics import weighted_medians
from tasks.metrics.accuracy import accuracy_at_k, oracle_scores
from tasks.metrics.labels import LABELS, PRIMARY, Outcomes
from tasks.metrics.ranking import rank

KS = (10, 20, 50, 100, 1000, 3000)
COLUMNS = ("user_idx", "video_idx", "stage", "duration_ms", "watch_ratio", "enjoyed")
"""Of ``eval_pairs``."""
ORACLE = "oracle"
"""Under this name stands what frames all models: no model, but the best possible lists."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvalSet:
    """The block as dense arrays of n users (rows) by m candidate videos (columns).

    Validation users come first, then test users; among each of them ``user_idx`` (n,) ascends, as
    ``video_idx`` (m,) does. ``candidates`` is true where a cell is observed, elsewhere no label is
    ``relevant``, bool (n, m) each, and ``stage`` is 0, which is also that of cells whose stage is
    unknown. ``duration_ms`` (m,) is the median over the video's cells.
    """

    user_idx: NDArray[np.int32]
    video_idx: NDArray[np.int32]
    is_test: NDArray[np.bool_]
    candidates: NDArray[np.bool_]
    relevant: Mapping[str, NDArray[np.bool_]]
    stage: NDArray[np.int8]
    duration_ms: NDArray[np.int32]

    @classmethod
    def of(cls, cells: pl.DataFrame) -> EvalSet:
        """Spread the table ``eval_pairs``."""
        return cls.read(PartedTable.of(cells))

    @classmethod
    def read(cls, cells: PartedTable, labels: Iterable[str] = tuple(LABELS)) -> EvalSet:
        """Spread the table ``eval_pairs``, some users at a time, with the labels asked for."""
        asked = [part.unique() for part in cells.read_parts(["user_idx", "is_test"])]
        users_asked = pl.concat(asked).unique().sort("is_test", "user_idx")
        user_idx, is_test = (users_asked[name].to_numpy() for name in ("user_idx", "is_test"))
        video_idx = distinct(cells, "video_idx")
        row_of = np.empty(int(user_idx.max(initial=-1)) + 1, dtype=np.intp)
        row_of[user_idx] = np.arange(len(user_idx))
        shape = (len(user_idx), len(video_idx))
        candidates = np.zeros(shape, dtype=bool)
        relevant = {label: np.zeros(shape, dtype=bool) for label in labels}
        stage = np.zeros(shape, dtype=np.int8)
        lengths = []
        for part in cells.read_parts(COLUMNS):
            users, own_rows = numbered(part["user_idx"].to_numpy())
            rows, columns = row_of[users], np.searchsorted(video_idx, part["video_idx"].to_numpy())
            outcomes = _outcomes(part, (own_rows, columns), (len(users), len(video_idx)))
            candidates[rows] = outcomes.candidates
            for label, is_relevant in relevant.items():
                is_relevant[rows] = LABELS[label].is_relevant(outcomes)
            stage[rows[own_rows], columns] = part["stage"].fill_null(0).to_numpy()
            lengths.append(part.group_by("video_idx", "duration_ms").agg(n=pl.len()))
        counts = pl.concat(lengths).group_by("video_idx", "duration_ms").agg(pl.col("n").sum())
        medians = weighted_medians(counts, "video_idx", "duration_ms")["duration_ms"]
        duration_ms = medians.cast(pl.Int32).to_numpy()
        return cls(user_idx, video_idx, is_test, candidates, relevant, stage, duration_ms)

    @property
    def enjoyed(self) -> NDArray[np.bool_]:
        """What the primary label calls relevant, bool (n, m)."""
        return self.relevant[PRIMARY]

    @property
    def test_rows(self) -> slice:
        """The rows of test users, which come last."""
        return slice(int(np.count_nonzero(~self.is_test)), None)

    @property
    def of_test_users(self) -> EvalSet:
        """The eval set of test users alone, with the same videos."""
        return self.of_users(self.test_rows)

    def of_users(self, rows: slice) -> EvalSet:
        """Return the eval set of some users alone, with the same videos; it is a view of this."""
        by_user = ("user_idx", "is_test", "candidates", "stage")
        relevant = {label: cells[rows] for label, cells in self.relevant.items()}
        some = {name: getattr(self, name)[rows] for name in by_user}
        return replace(self, relevant=relevant, **some)

    @property
    def ks(self) -> tuple[int, ...]:
        """The list lengths that fit into somebody's candidate set; at least the shortest."""
        longest = int(self.candidates.sum(axis=1).max())
        return tuple(k for k in KS if k <= longest) or KS[:1]


def _outcomes(
    part: pl.DataFrame, places: tuple[NDArray[Any], NDArray[Any]], shape: tuple[int, int]
) -> Outcomes:
    """Spread the cells of some users over arrays of their own."""
    candidates, enjoyed = np.zeros((2, *shape), dtype=bool)
    watch_ratio, duration_ms = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    candidates[places] = True
    enjoyed[places] = part["enjoyed"].to_numpy()
    watch_ratio[places] = part["watch_ratio"].to_numpy()
    duration_ms[places] = part["duration_ms"].to_numpy()
    return Outcomes(candidates, enjoyed, watch_ratio, duration_ms)


def measure(
    eval_set: EvalSet,
    scores: NDArray[np.float32],
    ranked: NDArray[np.int32],
    ks: Sequence[int],
    labels: Iterable[str] = tuple(LABELS),
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Measure one model's scores (n, m), and the lists ``ranked`` made of them at ``ks``.

    Returns rows (label, metric, k, user_idx, is_test, value) for every figure that is defined, and
    metadata over test users: the share of users and of cells that were served.
    """
    figures = [_figures(eval_set, name, ranked, ks) for name in labels]
    test = eval_set.is_test
    candidates = eval_set.candidates[test]
    served = (eval_set.candidates & ~np.isnan(scores))[test]
    metadata = {
        "served_users": float(served.any(axis=1).mean()) if test.any() else float("nan"),
        "served_cells": float(served.sum() / max(candidates.sum(), 1)),
    }
    return pl.concat(figures), metadata


def oracle_and_base_rate(eval_set: EvalSet) -> pl.DataFrame:
    """Measure what frames every model: the oracle's figures, and the base rate as k = 0."""
    figures = []
    for name in LABELS:
        relevant = eval_set.relevant[name]
        ranked = rank(oracle_scores(relevant), eval_set.candidates, max(eval_set.ks))
        figures.append(_figures(eval_set, name, ranked, eval_set.ks))
        n_candidates = np.maximum(eval_set.candidates.sum(axis=1), 1)
        base_rate = relevant.sum(axis=1) / n_candidates
        figures.append(_rows(eval_set, name, [("base_rate", 0)], base_rate[:, None]))
    return pl.concat(figures)


def distinct(cells: PartedTable, name: str) -> NDArray[np.int32]:
    """Return the distinct indices in a column, ascending."""
    found = [numbered(part[name].to_numpy())[0] for part in cells.read_parts([name])]
    return np.unique(np.concatenate(found))


def numbered(ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the distinct ids, ascending, and the place of each of ``ids`` among them.

    As ``np.unique`` does, without a sort: ids are indices, so a lookup table is small.
    """
    there = np.zeros(int(ids.max(initial=-1)) + 1, dtype=bool)
    there[ids] = True
    return np.flatnonzero(there).astype(np.int32), (np.cumsum(there) - 1)[ids]


def _figures(
    eval_set: EvalSet, label: str, ranked: NDArray[np.int32], ks: Sequence[int]
) -> pl.DataFrame:
    accuracy = accuracy_at_k(ranked, eval_set.relevant[label], ks, eval_set.candidates)
    return _rows(eval_set, label, accuracy.columns, accuracy.values)


def _rows(
    eval_set: EvalSet, label: str, columns: Sequence[tuple[str, int]], values: Floats
) -> pl.DataFrame:
    n_users = len(eval_set.user_idx)
    metrics, ks = zip(*columns, strict=True)
    return (
        pl.DataFrame(
            {
                "metric": np.repeat(np.array(metrics), n_users),
                "k": np.repeat(np.array(ks, dtype=np.int32), n_users),
                "user_idx": np.tile(eval_set.user_idx, len(columns)),
                "is_test": np.tile(eval_set.is_test, len(columns)),
                "value": values.T.ravel(),
            }
        )
        .select(pl.lit(label).alias("label"), pl.all())
        .filter(pl.col("value").is_not_nan())
    )
