"""From scores to lists: the one order in which all models are compared and served.

Here: ties, masks, padding and k larger than the catalogue. Not here: who is a candidate (the caller
says so in ``allowed``) and what a list is worth (``tasks.metrics.accuracy``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNLISTED = -1
"""Fills the places of a list for which there is no video."""

# Rows are ranked in blocks of about this many cells, whose keys stay in the processor's cache.
BLOCK_CELLS = 1 << 16


def rank(
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None = None,
    k: int | None = None,
) -> NDArray[np.int32]:
    """List the columns of each row, best first: int32 (n, k), -1 where a row has no more.

    The order is score descending, then column ascending; columns ascend by video id, so a tie goes
    to the smaller id. ``scores`` is float32 (n, m): +inf comes first, -inf last, -0.0 equals 0.0,
    and NaN is never listed, nor is a column that is False in ``allowed``, bool (n, m). ``k`` may be
    larger than m; None means m. Neither argument is changed.
    """
    _check(scores, allowed, k)
    n, m = scores.shape
    k = m if k is None else k
    ranked = np.full((n, k), UNLISTED, dtype=np.int32)
    if m == 0:
        return ranked
    rows = max(1, BLOCK_CELLS // m)
    for start in range(0, n, rows):
        block = slice(start, start + rows)
        keys = _sort_keys(scores[block], None if allowed is None else allowed[block])
        ranked[block, :m] = _first_columns(keys, min(k, m))
    return ranked


def _check(scores: NDArray[Any], allowed: NDArray[Any] | None, k: int | None) -> None:
    # A cast from float64 could make ties that the model did not mean, so it is left to the caller.
    if scores.dtype != np.float32 or scores.ndim != 2:
        raise TypeError(f"scores must be float32 (n, m), not {scores.dtype} {scores.shape}")
    if allowed is not None and (allowed.dtype != np.bool_ or allowed.shape != scores.shape):
        raise TypeError(f"allowed must be bool {scores.shape}, not {allowed.dtype} {allowed.shape}")
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, not {k}")


def _sort_keys(
    scores: NDArray[np.float32], allowed: NDArray[np.bool_] | None
) -> NDArray[np.uint64]:
    """Return uint64 (n, m) that ascend in the order of the list and are different in a row.

    The upper half is the score, the lower half the column. IEEE 754 numbers without a sign order
    like their bits, and numbers with one the other way round: descending scores are ascending bits
    once the bits of the numbers without a sign are flipped. As no two keys of a row are equal,
    neither an unstable sort nor a partition can break a tie wrongly.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # the sum turns -0.0 into 0.0
    bits ^= ~(bits >> 31) & np.int32(0x7FFFFFFF)  # shifted so far, a sign fills all 32 bits
    keys = bits.view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(scores.shape[1], dtype=np.uint64)
    unlisted = np.isnan(scores)
    if allowed is not None:
        unlisted |= ~allowed
    # Last of all, and its lower half is -1 as int32
    np.copyto(keys, np.iinfo(np.uint64).max, where=unlisted)
    return keys


def _first_columns(keys: NDArray[np.uint64], k: int) -> NDArray[np.int32]:
    """Return the columns of the k smallest keys of each row, ascending by key; reorders keys."""
    if k < keys.shape[1]:
        keys.partition(k - 1, axis=1)
        keys = keys[:, :k].copy()
    keys.sort(axis=1)
    return keys.astype(np.uint32).view(np.int32)
