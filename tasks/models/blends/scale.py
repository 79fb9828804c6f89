"""One scale for all components: each user's scores, standardised over all that he is served."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def standardised(scores: Floats) -> Floats:
    """Bring each row (a user's scores, NaN: not served) to mean 0 and deviation 1; NaN stays NaN.

    A row of equal scores says nothing and becomes 0. Blended in the same way on the demo world
    (scale 1, seed 7; 1,500 users to learn from), standardised scores, percentile ranks and normal
    scores of the ranks gave NDCG@10 of .316, .316 and .314: the same, but ranks cost a sort.
    """
    is_served = ~np.isnan(scores)
    n_served = np.maximum(is_served.sum(axis=1, keepdims=True), 1)
    mean = np.nansum(scores, axis=1, keepdims=True, dtype=np.float64) / n_served
    centred = (scores - mean).astype(np.float32)
    squares = np.nansum(centred * centred, axis=1, keepdims=True, dtype=np.float64)
    deviation = np.sqrt(squares / n_served)
    # Equal float32 scores leave a rest of rounding, never more than this share of their size
    is_flat = deviation <= 1e-6 * np.abs(mean)
    deviation[is_flat] = np.inf
    result: Floats = (centred / deviation).astype(np.float32)
    return result
