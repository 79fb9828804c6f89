"""Weights improved in what a list is judged by, step by step: ensemble selection.

Least squares asks alike of all of a user's videos, and a list shows the first ten. So NDCG@10 on
validation users has the last word (Caruana et al. 2004, "Ensemble selection from libraries of
models"). Their few cells would fit any weights to themselves; therefore a step is small, and is
taken only if it is better for sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.bootstrap import bootstrap_mean
from tasks.models.blends.weights import Floats

FACTORS = (0.0, 0.5, 2.0)
"""A step multiplies the weight of one component by one of these."""
NEWCOMER = 0.25
"""Or gives one that has none so much of the sum of all."""
MOST_STEPS = 20
LEVEL = 0.9
"""Of a gain's interval: by chance its lower end is above 0 in one of twenty useless steps."""


def improve_weights(
    weights: Floats, ndcg: Callable[[Floats], Floats], may_step: NDArray[np.bool_], seed: int
) -> Floats:
    """Return the weights (c,), sum 1, that no single step makes better for sure.

    ``ndcg`` gives the figure of each of n users by weights, NaN where it is not defined. Of the
    steps whose gain, paired by user, is above 0 with 95 % confidence, the one with the largest is
    taken. Only components of ``may_step``, bool (c,), change.
    """
    figures = ndcg(weights)
    for _ in range(MOST_STEPS):
        steps = list(_steps(weights, may_step))
        if not steps:
            break
        tried = [ndcg(step) for step in steps]
        gains = bootstrap_mean(np.column_stack(tried) - figures[:, None], seed, level=LEVEL)
        if not (gains.low > 0).any():
            break
        best = int(np.where(gains.low > 0, gains.mean, -np.inf).argmax())
        weights, figures = steps[best], tried[best]
    return weights


def _steps(weights: Floats, may_step: NDArray[np.bool_]) -> Iterator[Floats]:
    """Yield the weights one step away, sum 1; one that is alone can only be joined."""
    for part in np.flatnonzero(may_step):
        own = weights[part]
        for changed in [own * factor for factor in FACTORS] if own else [NEWCOMER]:
            step = weights.copy()
            step[part] = changed
            if own < 1:
                yield step / step.sum()
