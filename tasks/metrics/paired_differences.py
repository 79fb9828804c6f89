"""Which model is better, for how many users, and is it more than chance: differences by user.

Here: the difference of two models on the same users, figure by figure. Not here: each model's own
mean (``tasks.metrics.leaderboard``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.bootstrap import bootstrap_mean, win_rate
from tasks.metrics.eval_set import ORACLE

CELL = ["label", "metric", "k"]
FIGURE = ["model", *CELL]


def comparisons_of(per_user: pl.DataFrame, baseline: Sequence[str], seed: int) -> pl.DataFrame:
    """Return ``comparisons``: every model minus each one of ``against``, paired by test user.

    A user who has the figure in only one of the two models is left out of it, and a figure without
    any user in both has no row. The users drawn are the leaderboard's, for the same ``seed``.
    """
    figures, values = _by_user(per_user.filter("is_test"))
    pairs = _pairs(figures, baseline)
    ours, theirs = (values[:, pairs[name].to_numpy()] for name in ("column", "column_against"))
    differences = ours - theirs
    interval = bootstrap_mean(differences, seed)
    wins = [win_rate(a, b) for a, b in zip(ours.T, theirs.T, strict=True)]
    return (
        pairs.select(
            "model",
            "baseline",
            *CELL,
            pl.Series("difference", interval.mean),
            pl.Series("low", interval.low),
            pl.Series("high", interval.high),
            pl.Series("win_rate", wins, dtype=pl.Float64),
            pl.Series("users", (~np.isnan(differences)).sum(axis=0, dtype=np.int32)),
        )
        .filter(pl.col("users") > 0)
        .with_columns(pl.col("low", "high").fill_nan(None))
    )


def _by_user(test: pl.DataFrame) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Spread the models' figures: their names with ``column``, and float64 (n users, columns).

    Users ascend by id. One without any figure keeps a row, NaN, so that the bootstrap draws from
    the same users as the leaderboard.
    """
    user_ids = np.unique(test["user_id"].to_numpy())
    of_models = test.filter(pl.col("model") != ORACLE, pl.col("k") >= 1)
    figures = of_models.select(FIGURE).unique(maintain_order=True).with_row_index("column")
    columns = of_models.join(figures, on=FIGURE, how="left", maintain_order="left")["column"]
    values = np.full((len(user_ids), figures.height), np.nan)
    rows = np.searchsorted(user_ids, of_models["user_id"].to_numpy())
    values[rows, columns.to_numpy()] = of_models["value"].to_numpy()
    return figures, values


def _pairs(figures: pl.DataFrame, baseline: Sequence[str]) -> pl.DataFrame:
    """Name the figures to subtract: model, against, label, metric, k, column, column_against."""
    others = figures.filter(pl.col("model").is_in(list(baseline))).rename({"model": "baseline"})
    return figures.join(others, on=CELL, suffix="_against", maintain_order="left_right").filter(
        pl.col("model") != pl.col("baseline")
    )
