"""What the best of many tries is really worth: on users who chose it, and on users who did not.

Here: figures of settings by user in, the table ``tuning_comparison`` and what follows from it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.labels import PRIMARY

DEFAULT, IN_FORCE, WINNER = "default", "in_force", "winner"
VALIDATION, CROSS_FITTED, TEST = "validation", "cross_fitted", "test"
K = 10
FOLDS = 5

Floats = NDArray[np.float64]


def comparison_of(
    per_user: Mapping[str, pl.DataFrame], trials: Sequence[pl.DataFrame], seed: int
) -> pl.DataFrame:
    """Return ``tuning_comparison`` from ``per_user`` by settings and ``trial_scores`` of all tries.

    Users without a relevant candidate have no figure, whatever the settings. Where there is nobody
    of a kind, there is no row.
    """
    validation, test = (
        {name: _ndcg(table, is_test=is_test) for name, table in per_user.items()}
        for is_test in (False, True)
    )
    rows = list(_rows(VALIDATION, validation, seed))
    if WINNER in per_user:
        chosen = cross_fitted(np.stack([scores["value"].to_numpy() for scores in trials]))
        fitted = _rows(CROSS_FITTED, validation | {WINNER: chosen}, seed)
        rows += [row for row in fitted if row["settings"] == WINNER]
    rows += _rows(TEST, test, seed)
    return pl.DataFrame(rows, schema_overrides={"n_users": pl.Int32}).with_columns(
        pl.col("low", "high", "difference_low", "difference_high").fill_nan(None)
    )


def cross_fitted(scores: Floats) -> Floats:
    """Return each user's figure with the settings that are best for the users of other folds.

    ``scores`` is float64 (n tries, m users). As nobody is measured with what they chose themselves,
    the mean is that of a choice, without its luck.
    """
    n_users = scores.shape[1]
    fold = np.arange(n_users) % FOLDS
    # A single user has nobody to choose for them, and gets the first, the default
    chosen: Floats = scores[0].copy()
    for own in (fold == number for number in range(min(FOLDS, n_users))):
        if not own.all():
            chosen[own] = scores[scores[:, ~own].mean(axis=1).argmax(), own]
    return chosen


def silent_users(per_user: pl.DataFrame) -> int:
    """Count validation users without an enjoyed video: no settings are better for them."""
    of_validation = per_user.filter(~pl.col("is_test"), label=PRIMARY, k=K)
    known = of_validation.filter(metric="ndcg")["user_id"].n_unique()
    return of_validation["user_id"].n_unique() - known


def optimism_of(comparison: pl.DataFrame) -> float | None:
    """Return how much better the winner looks to those who chose it than to those who did not.

    Its lead over the defaults on validation users less that on test users; None without a winner
    or without users of a kind.
    """
    of_winner = comparison.filter(settings=WINNER, baseline=DEFAULT)
    lead = dict(of_winner.select("users", "difference").iter_rows())
    if not lead.keys() >= {VALIDATION, TEST}:
        return None
    return float(lead[VALIDATION] - lead[TEST])


def _ndcg(per_user: pl.DataFrame, *, is_test: bool) -> Floats:
    """Return NDCG@10 of the users of a kind, in the order of their ids."""
    rows = per_user.filter(pl.col("is_test") == is_test, label=PRIMARY, metric="ndcg", k=K)
    values: Floats = rows.sort("user_id")["value"].to_numpy()
    return values


def _rows(users: str, ndcg: Mapping[str, Floats], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of all settings above the defaults, and the winner's above those in force.

    ``ndcg`` has them by settings, of the same users in the same order.
    """
    pairs = [(settings, DEFAULT) for settings in ndcg]
    if ndcg.keys() >= {WINNER, IN_FORCE}:
        pairs.append((WINNER, IN_FORCE))
    for settings, baseline in pairs if ndcg[DEFAULT].size else ():
        names = {"settings": settings, "baseline": baseline, "users": users}
        yield names | _figures(ndcg[settings], ndcg[baseline], seed)


def _figures(ours: Floats, baseline: Floats, seed: int) -> dict[str, float]:
    means = bootstrap_mean(np.stack([ours, ours - baseline], axis=1), seed)
    (mean, difference), (low, difference_low), (high, difference_high) = (
        map(float, ends) for ends in means
    )
    return {
        "n_users": len(ours),
        "mean": mean,
        "low": low,
        "high": high,
        "difference": difference,
        "difference_low": difference_low,
        "difference_high": difference_high,
    }
