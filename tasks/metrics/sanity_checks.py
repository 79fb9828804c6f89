"""What must be true of any honest evaluation, whatever the models: checks that stop the run.

Each raises EvaluationError with one line: which model, what is wrong, by how much, what it means.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import EvaluationError
from tasks.metrics.bootstrap import MeanInterval, bootstrap_mean
from tasks.metrics.eval_set import ORACLE
from tasks.metrics.labels import PRIMARY
from tasks.metrics.registry import METRICS

RANDOM = "random"
ROUNDING = 1e-9

FALSE_ALARMS = 0.001
"""Share of honest nights that ``check_random`` may stop."""
DRAWS = 10_000  # at a level of .999 only five of them lie beyond either end


def check_users(per_user: pl.DataFrame) -> None:
    """Raise EvaluationError unless there is a figure of some test user in ``per_user``."""
    if not per_user["is_test"].any():
        raise EvaluationError(
            "no test user has any figure: the block (small_matrix.csv) is too small to report on"
        )


def check_oracle(leaderboard: pl.DataFrame) -> None:
    """Raise EvaluationError unless the oracle has what is due to it and no model is above it.

    What is due says the registry: an NDCG of 1.

    ``leaderboard`` is the table of that name; means over nobody are not looked at.
    """
    cell = ["label", "metric", "k"]
    measured = leaderboard.filter(pl.col("mean").is_not_null())
    oracle = measured.filter(model=ORACLE).select(*cell, pl.col("mean").alias("best"))
    for metric in METRICS:
        if metric.of_oracle is not None:
            _check_due(oracle.filter(metric=metric.name), metric.of_oracle)
    models = measured.filter(pl.col("model") != ORACLE).join(oracle, on=cell, how="left")
    above = models.filter((pl.col("mean") > pl.col("best") + ROUNDING) | pl.col("best").is_null())
    if not above.is_empty():
        model, label, metric, k, mean, best = above.select("model", *cell, "mean", "best").row(0)
        bound = "without a figure" if best is None else f"with {best:.9f}"
        raise EvaluationError(
            f"{model} has {metric}@{k} {mean:.9f} under {label}, above {ORACLE} {bound}: they were"
            " not measured on the same users and cells"
        )


def _check_due(oracle: pl.DataFrame, due: float) -> None:
    """Raise EvaluationError unless all figures ``best`` of one metric are what is due."""
    wrong = oracle.filter((pl.col("best") - due).abs() > ROUNDING)
    if not wrong.is_empty():
        label, metric, k, best = wrong.row(0)
        raise EvaluationError(
            f"{ORACLE} has {metric}@{k} {best:.9f} under {label}, not {due:g}: the ranking or the"
            " metric is wrong, and so is every figure"
        )


def check_random(per_user: pl.DataFrame, seed: int) -> None:
    """Raise EvaluationError if random lists hit more or less often than the base rate.

    Looks at precision@10 to @1000 of ``per_user`` under the primary label on test users: the 99.9 %
    interval of precision minus the user's own base rate must hold 0. On some hundred users such an
    interval misses 0 on more nights than one in a thousand, so the difference must also be more
    than ``_by_chance`` allows. Without a model ``random`` there is nothing to check.
    """
    test = per_user.filter(pl.col("is_test"), pl.col("label") == PRIMARY)
    ks, hits, base_rate = _random_precision(test)
    if not ks:
        return
    differences = hits - base_rate[:, None]
    interval = bootstrap_mean(differences, seed, draws=DRAWS, level=1 - FALSE_ALARMS)
    wrong = (interval.low > 0) | (interval.high < 0)
    wrong &= np.abs(interval.mean) > _by_chance(ks, differences, base_rate)
    if wrong.any():
        raise EvaluationError(_leak(ks, interval, int(np.flatnonzero(wrong)[0])))


def check_lists(
    ranked: NDArray[np.int32],
    candidates: NDArray[np.bool_],
    served: NDArray[np.bool_],
    k: int,
    model: str,
) -> None:
    """Raise EvaluationError unless lists are whole: candidates only, none twice, none missing.

    ``ranked`` is int32 (n, K >= k) from ``tasks.metrics.ranking.rank``, -1 where a list has ended;
    ``candidates`` is bool (n, m), and ``served``, bool (n, m), is where the model has a score.
    """
    n, m = candidates.shape
    listed = ranked >= 0
    rows = np.nonzero(listed)[0]
    columns = ranked[listed]
    if columns.size and columns.max() >= m:
        raise EvaluationError(
            f"{model} lists column {columns.max()} of {m} videos: its scores are of another"
            " catalogue"
        )
    is_listed = np.zeros((n, m), dtype=bool)
    is_listed[rows, columns] = True
    twice = listed.sum(axis=1) - is_listed.sum(axis=1)
    _refuse(twice, model, "lists videos twice", "one hit counts more than once")
    stray = (is_listed & ~candidates).sum(axis=1)
    _refuse(stray, model, "lists videos that are no candidates", "nobody knows their outcome")
    expected = np.minimum(k, (served & candidates).sum(axis=1))
    missing = expected - (ranked[:, :k] >= 0).sum(axis=1)
    _refuse(missing, model, "leaves out videos it can serve", f"its figures at {k} are too low")


def _refuse(counts: NDArray[np.int64], model: str, what: str, meaning: str) -> None:
    """Raise EvaluationError if a count (n,), one a user, is above 0 anywhere."""
    users = np.flatnonzero(counts > 0)
    if users.size:
        raise EvaluationError(
            f"{model} {what} ({counts[users].sum():,} times, for {users.size:,} of"
            f" {len(counts):,} users, first in row {users[0]}): {meaning}"
        )


def _random_precision(
    test: pl.DataFrame,
) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Return the k, random's precision (n, len(ks)) and the base rate (n,); nothing without it."""
    precision = test.filter(pl.col("k").is_between(10, 1000), model=RANDOM, metric="precision")
    ks = precision["k"].unique().sort().to_list()
    base_rate = test.filter(model=ORACLE, metric="base_rate").select(
        "user_id", pl.col("value").alias("base_rate")
    )
    wide = (
        precision.pivot("k", index="user_id", values="value")
        .join(base_rate, on="user_id", how="left")
        .sort("user_id")
    )
    lost = wide["base_rate"].null_count()
    if lost:
        raise EvaluationError(
            f"{RANDOM} was measured on {lost} test users without a base rate: {ORACLE} and models"
            " were not measured on the same eval set"
        )
    values = wide.select(map(str, ks)).fill_null(np.nan).to_numpy()
    return ks, values, wide["base_rate"].to_numpy()


def _by_chance(
    ks: list[int], differences: NDArray[np.float64], base_rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far the mean of random lists may be off, (len(ks),), whatever the number of users.

    Hits of n users with base rates p, k draws each without replacement, obey Bernstein's inequality
    as if they were drawn with replacement (Hoeffding (1963), "Probability inequalities for sums of
    bounded random variables", section 6): with L = ln(2 / share of false alarms), the mean is off
    by more than sqrt(2 L v) + 2 L / (3 n k), v = sum(p (1 - p)) / (n^2 k), in that share of nights.
    The share is cut by the number of k.
    """
    is_known = ~np.isnan(differences)
    n = is_known.sum(axis=0)
    lengths = np.array(ks)
    variance = (is_known * (base_rate * (1 - base_rate))[:, None]).sum(axis=0) / (n**2 * lengths)
    log = math.log(2 * len(ks) / FALSE_ALARMS)
    bound: NDArray[np.float64] = np.sqrt(2 * log * variance) + 2 * log / (3 * n * lengths)
    return bound


def _leak(ks: list[int], interval: MeanInterval, i: int) -> str:
    return (
        f"{RANDOM} has precision@{ks[i]} {interval.mean[i]:+.4f} off the base rate under"
        f" {PRIMARY}, 99.9 % interval [{interval.low[i]:+.4f}, {interval.high[i]:+.4f}]: ranking"
        " or labels leak"
    )
