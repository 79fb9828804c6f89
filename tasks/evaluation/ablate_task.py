"""What each component of a blend earns: the blend against itself without it."""

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect.client.schemas import State

from schemas.artifacts import Known
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.evaluation.task import load_exam, protocol_of
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import Exam
from tasks.metrics.ranking import rank
from tasks.models.hybrid import Hybrid
from tasks.training.task import code_of, load_model

K = 10


def ablation_of(blend: Hybrid, exam: Exam, seed: int) -> pl.DataFrame:
    """Return what each component earns in NDCG@10 on the exam's users, and whom it reaches.

    Rows of ``ablation``. A component earns the mean, paired by user, of the blend's figure minus
    that of ``blend.without(component)``; its interval is a bootstrap over users.
    """
    users, candidates, enjoyed = exam.user_idx, exam.candidates, exam.enjoyed
    inputs = blend.inputs(users, exam.video_idx, blend.names_)

    def ndcg(one: Hybrid, names: Iterable[str]) -> NDArray[np.float64]:
        scores = one.combine({name: inputs[name] for name in names}, users, exam.video_idx)
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
            "earns": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "reach_users": [float(cells.any(axis=1).mean()) for cells in served],
            "reach_cells": [float(cells.sum() / candidates.sum()) for cells in served],
            "users": (~np.isnan(earned)).sum(axis=0).astype(np.int32),
        }
    ).with_columns(pl.col("low", "high").fill_nan(None))


@step("ablate", "ablate-{name}-{known.as_of}")
def ablate(name: str, known: Known, seed: int, root: str) -> State[Refs]:
    """Take one component after the other out of the blend called ``name``: ``ablation``."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        blend = load_model(store, known.models[name])
        assert isinstance(blend, Hybrid)  # noqa: S101  # the flow ablates blends alone
        table = ablation_of(blend, load_exam(root, known.tables["cells"]).of_test_users, seed)
        drafts["ablation"].append(table)
        protocol = protocol_of(known.tables["cells"])
        drafts["ablation"].facts["protocol"] = protocol.model_dump(mode="json")

    return make(
        store,
        "evaluation",
        ("ablation",),
        build,
        parents={"model": known.models[name], "cells": known.tables["cells"]},
        found=code_of(known, name),
        config={"model": name},
        seed=seed,
    )
