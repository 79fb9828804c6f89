"""What each component of a blend earns: the blend against itself without it."""

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.ranking import rank
from tasks.models.hybrid import Hybrid

K = 10


def ablation_of(blend: Hybrid, eval_set: EvalSet, seed: int) -> pl.DataFrame:
    """Return what each component earns in NDCG@10 on the eval set's users, and whom it reaches.

    Rows of ``ablation``. A component earns the mean, paired by user, of the blend's figure minus
    that of ``blend.without(component)``; its interval is a bootstrap over users.
    """
    users, candidates, enjoyed = eval_set.user_idx, eval_set.candidates, eval_set.enjoyed
    inputs = blend.inputs(users, eval_set.video_idx, blend.names_)

    def ndcg(one: Hybrid, names: Iterable[str]) -> NDArray[np.float64]:
        scores = one.combine({name: inputs[name] for name in names}, users, eval_set.video_idx)
        ranked = rank(scores, candidates, K)
        return accuracy_at_k(ranked, enjoyed, [K], candidates).of("ndcg", K)

    full = ndcg(blend, blend.names_)
    lost = []
    for name in blend.names_:
        others = [other for other in blend.names_ if other != name]
        lost.append(full - ndcg(blend.without(name), others))
    earned = np.column_stack(lost)
    interval = bootstrap_mean(earned, seed)
    served = [candidates & ~np.isnan(inputs[name]) for name in blend.names_]
    return pl.DataFrame(
        {
            "component": blend.names_,
            "weight": blend.weights_,
            "ndcg_gain": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "reach_users": [float(cells.any(axis=1).mean()) for cells in served],
            "reach_cells": [float(cells.sum() / candidates.sum()) for cells in served],
            "users": (~np.isnan(earned)).sum(axis=0).astype(np.int32),
        }
    ).with_columns(pl.col("low", "high").fill_nan(None))
