r"""Non-negative weights, learned by least squares inside each user, and only where they are sure.

With the standardised scores :math:`z_{uvc}` of component c (0 where it cannot serve) and the share
enjoyed :math:`y_{uv}` of a user's cells, both centred by user, the weights minimise
:math:`\sum_{uv} (y_{uv} - \sum_c w_c z_{uvc})^2` with :math:`w_c \ge 0` (stacked regression:
Breiman 1996). Centring leaves out what a list cannot use: how much a user enjoys in general.

A user's cells of the fully observed block count 1 each. Those of the log, which somebody chose to
show, count as much as exposure was even (``evenness``).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 400
RIDGE = 1e-9
"""Share of the mean square added to the diagonal, so that a component twice there can be solved."""


def moments_by_user(
    inputs: NDArray[np.float32], enjoyed: NDArray[np.float32], starts: NDArray[np.int64]
) -> Floats:
    """Return all that the weights depend on, user by user: float64 (n, c + 1, c).

    ``inputs`` (p, c) and ``enjoyed`` (p,) hold the pairs of one user after the other; ``starts``
    (n,) tells where each begins. The first c rows are sums of products of the centred inputs, the
    last their products with what was enjoyed, centred too.
    """
    moments = np.empty((len(starts), inputs.shape[1] + 1, inputs.shape[1]))
    for user, (start, stop) in enumerate(pairwise([*starts.tolist(), len(inputs)])):
        own = inputs[start:stop].astype(np.float64)
        own -= own.mean(axis=0)
        share = enjoyed[start:stop].astype(np.float64)
        moments[user, :-1] = own.T @ own
        moments[user, -1] = own.T @ (share - share.mean())
    return moments


def evenness(video_idx: NDArray[np.integer[Any]]) -> float:
    """Return how evenly the cells of a log are spread over its videos: above 0, 1 at most.

    It is the share of them that is left in effect when each is weighed by the inverse of how often
    its video is there (effective sample size: Kish 1965, "Survey Sampling"); 1 without any.
    """
    shown = np.bincount(video_idx)
    shown = shown[shown > 0]
    return float(len(shown) ** 2 / (shown.sum() * (1 / shown).sum())) if len(shown) else 1.0


def select_weights(moments: Floats, seed: int, min_selection_rate: float, least: float) -> Floats:
    """Return the weights (c,), sum 1; 0 for a component that does not help for sure.

    A component is sure to help if its weight is above 0 in the share ``min_selection_rate`` of the
    draws of users with replacement. Components that are not, and then those whose share of the
    weights is below ``least``, are left out one by one, the first of them first, because components
    that are alike hide each other. All 0: nothing helps for sure.
    """
    n, _, c = moments.shape
    kept = np.ones(c, dtype=bool)
    if not n:
        return np.zeros(c)
    drawn = _times_drawn(n, seed).astype(np.float64) @ moments.reshape(n, -1)
    drawn = drawn.reshape(DRAWS, c + 1, c)
    while kept.any():
        share = (_weights(drawn, kept) > 0).mean(axis=0)
        (weights,) = _weights(moments.sum(axis=0, keepdims=True), kept)
        if not weights.any():
            break
        if share[kept].min() < min_selection_rate:
            kept[np.where(kept, share, np.inf).argmin()] = False
        elif weights[kept].min() < least * weights.sum():
            kept[np.where(kept, weights, np.inf).argmin()] = False
        else:
            shares: Floats = weights / weights.sum()
            return shares
    return np.zeros(c)


@lru_cache(maxsize=8)  # of all users, and of all but a fold, for two nights at a time
def _times_drawn(n: int, seed: int) -> NDArray[np.uint16]:
    """Return how often each of n users is in each draw, with replacement: (DRAWS, n)."""
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    return times.astype(np.uint16)  # a quarter of the memory: nobody is drawn 65,536 times


def _weights(sums: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Solve each of n summed moments (n, c + 1, c) for the kept components; 0 for the others."""
    from scipy.optimize import nnls

    weights = np.zeros((len(sums), len(kept)))
    squares, products = sums[:, :-1][:, kept][:, :, kept], sums[:, -1][:, kept]
    scale = np.trace(squares, axis1=1, axis2=2) / max(kept.sum(), 1)
    known = scale > 0
    ridge = RIDGE * scale[known, np.newaxis, np.newaxis] * np.eye(int(kept.sum()))
    roots = np.linalg.cholesky(squares[known] + ridge)
    wanted = np.linalg.solve(roots, products[known, :, np.newaxis])[..., 0]
    solved = [nnls(root.T, want)[0] for root, want in zip(roots, wanted, strict=True)]
    weights[np.ix_(known, kept)] = np.reshape(solved, (-1, int(kept.sum())))
    return weights
