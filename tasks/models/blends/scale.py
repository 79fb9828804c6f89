"""One scale for all components: each user's scores, standardised over all that they are served."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Index = NDArray[np.integer[Any]]


def zscore_by_user(scores: Floats) -> Floats:
    """Bring each row (a user's scores, NaN: not served) to mean 0 and deviation 1; NaN stays NaN.

    A row of equal scores says nothing and becomes 0. Blended in the same way on the demo world
    (scale 1, seed 7; 1,500 users to learn from), standardised scores, percentile ranks and normal
    scores of the ranks gave NDCG@10 of .316, .316 and .314: the same, but ranks cost a sort.
    """
    centred, deviation = _centred(scores)
    centred /= deviation
    np.copyto(centred, np.nan, where=np.isnan(scores))
    return centred


def zscore_of_cells(scores: Floats, rows: Index, columns: Index) -> Floats:
    """Return some cells (p,) of ``zscore_by_user(scores)``, without computing the others."""
    centred, deviation = _centred(scores)
    places = rows * scores.shape[1] + columns  # one index takes a third of the time of two
    cells: Floats = centred.ravel().take(places) / deviation[rows, 0]
    return np.where(np.isnan(scores.ravel().take(places)), np.float32(np.nan), cells)


def _centred(scores: Floats) -> tuple[Floats, Floats]:
    """Return the scores off their row's mean, 0 where NaN, and each row's deviation (n, 1)."""
    n_served = np.full((len(scores), 1), scores.shape[1])
    sums = scores.sum(axis=1, keepdims=True, dtype=np.float64)
    is_silent = np.isnan(scores) if np.isnan(sums).any() else None
    if is_silent is not None:
        n_served = np.maximum(n_served - is_silent.sum(axis=1, keepdims=True), 1)
        scores = np.where(is_silent, np.float32(0), scores)
        sums = scores.sum(axis=1, keepdims=True, dtype=np.float64)
    mean = sums / n_served
    centred = scores - mean.astype(np.float32)
    if is_silent is not None:
        np.copyto(centred, 0, where=is_silent)
    squares = np.einsum("ij,ij->i", centred, centred, dtype=np.float64)
    deviation = np.sqrt(squares[:, None] / n_served)
    # Equal float32 scores leave a rest of rounding, never more than this share of their size
    deviation[deviation <= 1e-6 * np.abs(mean)] = np.inf
    return centred, deviation.astype(np.float32)
