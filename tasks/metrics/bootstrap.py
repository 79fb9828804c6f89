"""What a mean over users is worth: bootstrap intervals, and who wins at how many users.

Here: statistics over users of figures that were measured user by user. Not here: the figures.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Resamples are drawn in blocks of about this many counts (draws x users): 16 MB of float64.
BLOCK_COUNTS = 1 << 21
ROUNDING = 1e-12
"""A standard error below this is that of users who are all alike."""


class MeanInterval(NamedTuple):
    """Means of c columns and the ends of their intervals, float64 (c,) each."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def bootstrap_mean(
    values: NDArray[np.floating[Any]], seed: int, draws: int = 1000, level: float = 0.95
) -> MeanInterval:
    """Estimate the mean of each column with its percentile bootstrap interval over rows (users).

    Users are drawn n of n with replacement ``draws`` times; low and high are the (1 - level) / 2
    and (1 + level) / 2 quantiles of the drawn means (Efron and Tibshirani (1993), "An Introduction
    to the Bootstrap", chapter 13). The drawn users depend on ``seed``, n and ``draws`` alone and
    are the same for all columns: ``bootstrap_mean(a - b, seed)`` is the paired interval of a
    difference.

    ``values`` is float (n, c) without infinities. A NaN leaves its user out of its column, not out
    of the others. The mean of a column without any user is NaN; low and high are NaN with fewer
    than two users, because one user says nothing about how much users differ.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or np.isinf(values).any():
        raise ValueError(f"values must be finite or NaN, of shape (n, c); shape {values.shape}")
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"draws must be 1 or more and level in (0, 1), not {draws} and {level}")
    is_known = ~np.isnan(values)
    filled, n_known = np.where(is_known, values, 0.0), is_known.sum(axis=0)
    mean, low, high = np.full((3, values.shape[1]), np.nan)
    np.divide(filled.sum(axis=0), n_known, out=mean, where=n_known > 0)
    if (n_known >= 2).any():
        drawn = _drawn_means(filled, is_known, seed, draws)
        # With few draws it can happen that none of them has a user who is known in a column.
        enough = (n_known >= 2) & ~np.isnan(drawn).all(axis=0)
        ends = np.nanquantile(drawn[:, enough], [(1 - level) / 2, (1 + level) / 2], axis=0)
        low[enough], high[enough] = ends.reshape(2, -1)  # without columns it is (0,)
    return MeanInterval(mean, low, high)


def simultaneous_means(
    values: NDArray[np.floating[Any]], seed: int, draws: int = 1000, level: float = 0.95
) -> MeanInterval:
    """Estimate all column means at once: in ``level`` of all worlds every interval holds its truth.

    The single-step max-t bootstrap over rows (users): an end is q standard errors from its mean,
    where q is the ``level`` quantile over draws of the largest |drawn mean - mean| / standard error
    of any column (Romano and Wolf (2005), "Exact and approximate stepdown methods for multiple
    hypothesis testing", JASA 100, 94-108). Columns share their draws, so that models which are
    alike cost little. ``values`` and the draws are as in ``bootstrap_mean``; all is NaN for a
    column of fewer than two users, which widens no other.
    """
    values = np.asarray(values, dtype=np.float64)
    mean, low, high = np.full((3, values.shape[1]), np.nan)
    enough = (~np.isnan(values)).sum(axis=0) >= 2
    if enough.any():
        known = values[:, enough]
        is_known = ~np.isnan(known)
        centre = np.nanmean(known, axis=0)
        error = np.nanstd(known, axis=0, ddof=1) / np.sqrt(is_known.sum(axis=0))
        drawn = _drawn_means(np.where(is_known, known, 0.0), is_known, seed, draws)
        off = np.nan_to_num(np.abs(drawn - centre))  # NaN: a draw without any known user
        in_errors = np.divide(off, error, out=np.zeros_like(off), where=error > ROUNDING)
        reach = np.quantile(in_errors.max(axis=1), level) * error
        mean[enough], low[enough], high[enough] = centre, centre - reach, centre + reach
    return MeanInterval(mean, low, high)


def win_rate(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Return the share of users for whom a is larger than b, float (n,) each; a tie counts half.

    Users with NaN in either are left out; NaN if nobody remains.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"a and b must have one figure a user, not shapes {a.shape} and {b.shape}")
    is_known = ~(np.isnan(a) | np.isnan(b))
    if not is_known.any():
        return float("nan")
    a, b = a[is_known], b[is_known]
    return float(((a > b) + 0.5 * (a == b)).mean())


def _drawn_means(
    values: NDArray[np.float64], is_known: NDArray[np.bool_], seed: int, draws: int
) -> NDArray[np.float64]:
    """Return the column means of each resample, (draws, c); NaN if it drew no known user."""
    n = len(values)
    rng = np.random.default_rng(seed)
    rows = max(1, BLOCK_COUNTS // n)
    known = is_known.astype(np.float64)
    means = np.full((draws, values.shape[1]), np.nan)
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        users = rng.integers(0, n, size=(stop - start, n))
        # How often each user was drawn: a row times the values is the sum of that resample.
        cells = users + n * np.arange(stop - start)[:, None]
        times = np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(float)
        n_drawn = times @ known
        np.divide(times @ values, n_drawn, out=means[start:stop], where=n_drawn > 0)
    return means
