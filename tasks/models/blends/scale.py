"""One scale for all components: each user's scores, standardised over all that they are served."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def zscore_by_user(scores: Floats) -> Floats:
    """Bring each row (a user's scores, NaN: not served) to mean 0 and deviation 1; NaN stays NaN.

    A row of equal scores says nothing and becomes 0. Blended in the same way on the demo world
    (scale 1, seed 7; 1,500 users to learn from), standardised scores, percentile ranks and normal
    scores of the ranks gave NDCG@10 of .316, .316 and .314: the same, but ranks cost a sort.
    """
    is_silent = np.isnan(scores)
    n_served = np.maximum(scores.shape[1] - is_silent.sum(axis=1, keepdims=True), 1)
    centred = np.where(is_silent, np.float32(0), scores)
    mean = centred.sum(axis=1, keepdims=True, dtype=np.float64) / n_served
    centred -= mean.astype(np.float32)
    np.copyto(centred, 0, where=is_silent)
    squares = np.einsum("ij,ij->i", centred, centred, dtype=np.float64)
    deviation = np.sqrt(squares[:, None] / n_served)
    # Equal float32 scores leave a rest of rounding, never more than this share of their size
    deviation[deviation <= 1e-6 * np.abs(mean)] = np.inf
    centred /= deviation.astype(np.float32)
    np.copyto(centred, np.nan, where=is_silent)
    return centred
