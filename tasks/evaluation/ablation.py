"""What each component of a blend earns: the blend against itself without it."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.ranking import rank
from tasks.models.blends.blend import Inputs, chunks
from tasks.models.hybrid import Hybrid

K = 10


def ablation_of(blend: Hybrid, eval_set: EvalSet, seed: int) -> pl.DataFrame:
    """Return what each component earns in NDCG@10 on the eval set's users, and whom it reaches.

    Rows of ``ablation``. A component earns the mean, paired by user, of the blend's figure minus
    that of ``blend.without(component)``; its interval is a bootstrap over users.
    """
    earned, n_reached = earned_and_reached(blend, eval_set)
    interval = bootstrap_mean(earned, seed)
    n_users, n_cells = len(eval_set.user_idx), eval_set.candidates.sum()
    return pl.DataFrame(
        {
            "component": blend.names_,
            "weight": blend.weights_,
            "ndcg_gain": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "reach_users": (n_reached > 0).sum(axis=0) / n_users,
            "reach_cells": n_reached.sum(axis=0) / n_cells,
            "users": (~np.isnan(earned)).sum(axis=0).astype(np.int32),
        }
    ).with_columns(pl.col("low", "high").fill_nan(None))


def earned_and_reached(
    blend: Hybrid, eval_set: EvalSet
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what each of c components earns with each of n users, and cells served: (n, c) each.

    Some users at a time: what all components say of all users is never there at once.
    """
    shape = (len(eval_set.user_idx), len(blend.names_))
    earned, n_reached = np.empty(shape), np.empty(shape, dtype=np.int64)
    for rows in chunks(shape[0]):
        some = eval_set.of_users(rows)
        inputs = blend.inputs(some.user_idx, some.video_idx, blend.names_)
        full = _ndcg(blend, inputs, some)
        for c, name in enumerate(blend.names_):
            others = {other: said for other, said in inputs.items() if other != name}
            earned[rows, c] = full - _ndcg(blend.without(name), others, some)
            n_reached[rows, c] = (some.candidates & ~np.isnan(inputs[name])).sum(axis=1)
    return earned, n_reached


def _ndcg(blend: Hybrid, inputs: Inputs, asked: EvalSet) -> NDArray[np.float64]:
    """Return NDCG@10 of each user of an eval set, by what components say of them."""
    ranked = rank(blend.combine(inputs, asked.user_idx, asked.video_idx), asked.candidates, K)
    return accuracy_at_k(ranked, asked.enjoyed, [K], asked.candidates).of("ndcg", K)
