"""The audit: had one only had the log, which number would have put the models in their order?"""

from functools import lru_cache
from threading import Lock

import numpy as np
import polars as pl

from schemas.artifacts import ArtifactRef
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Inputs, Outputs, table_task
from tasks.evaluation.task import load_exam, per_user_rows, protocol_in, protocol_of, state_protocol
from tasks.metrics.eval_set import measure
from tasks.metrics.holdout_metrics import LOG_ESTIMATORS, NextDays, measure_next_days
from tasks.metrics.labels import PRIMARY
from tasks.metrics.leaderboard import leaderboard_of
from tasks.metrics.paired_differences import comparisons_of
from tasks.metrics.rank_correlation_tables import agreements_of, boards_by_label
from tasks.metrics.ranking import rank
from tasks.training.task import load_model

STAGE = "audit"
K = 10
"""Length of the lists by which the two test beds are compared."""

RIVALS = ("random", "popularity")
"""Whom all are compared with on the next days."""

_reading = Lock()


def load_holdout(store: Store, holdout: ArtifactRef, pairs: ArtifactRef, n_videos: int) -> NextDays:
    """Read what users saw next; it stays in memory, as all models are asked the same."""
    with _reading:  # two tasks at a time must not hold it twice
        return _holdout(store.root, holdout.model_dump_json(), pairs.model_dump_json(), n_videos)


@lru_cache(maxsize=1)
def _holdout(root: str, holdout: str, pairs: str, n_videos: int) -> NextDays:
    store = Store(root)
    after, before = (ArtifactRef.model_validate_json(ref) for ref in (holdout, pairs))
    seen_before = store.read(before, ["user_idx", "video_idx", "enjoyed"])
    return NextDays.of(store.read(after), seen_before, n_videos)


@table_task(
    stage=STAGE,
    reads=("model", "next_days", "pairs", "user_index", "video_index", "cells"),
    writes=("next_days_per_user", "per_user"),
    key="model",
)
def evaluate_holdout(inputs: Inputs, out: Outputs, *, model: str) -> None:
    """Measure one model of the backtest on what test users saw next, and on the eval set."""
    index, n_videos = inputs.read("user_index"), inputs["video_index"].rows or 0
    days = load_holdout(inputs.store, inputs["next_days"], inputs["pairs"], n_videos)
    tested = load_exam(inputs.store, inputs["cells"]).of_test_users
    scores = load_model(inputs.store, inputs["model"]).score(tested.user_idx)
    # Whoever saw something next is a test user of the exam, so that one scoring does for both
    figures = measure_next_days(days, scores[np.searchsorted(tested.user_idx, days.user_idx)])
    out["next_days_per_user"].append(
        per_user_rows(figures.with_columns(is_test=pl.lit(value=True)), model, index)
    )
    on_cells = np.ascontiguousarray(scores[:, tested.video_idx])
    ranked = rank(on_cells, tested.candidates, K)
    on_block, _ = measure(tested, on_cells, ranked, ks=(K,), labels=(PRIMARY,))
    out["per_user"].append(per_user_rows(on_block, model, index))
    state_protocol(out, protocol_of(inputs["cells"]))


@table_task(
    stage=STAGE,
    reads=("next_days_per_user/*", "per_user/*"),
    writes=("next_days_leaderboard", "leaderboard", "comparisons", "agreements", "swaps"),
)
def audit_offline_metrics(inputs: Inputs, out: Outputs, *, seed: int) -> None:
    """Rank the backtest's models by each estimate from the log and by the fully observed block."""
    seen_next = inputs.concat("next_days_per_user")
    out["comparisons"].append(comparisons_of(seen_next, RIVALS, seed))
    on_log = leaderboard_of(seen_next, seed)
    on_block = leaderboard_of(inputs.concat("per_user"), seed)
    out["next_days_leaderboard"].append(on_log)
    out["leaderboard"].append(on_block)
    truth = f"block/{PRIMARY}"
    boards = boards_by_label(on_log, "log") | boards_by_label(on_block, "block")
    pairs = [(f"log/{name}", truth) for name in LOG_ESTIMATORS if f"log/{name}" in boards]
    agreements, swaps = agreements_of(boards, pairs)
    out["agreements"].append(agreements)
    out["swaps"].append(swaps)
    state_protocol(out, protocol_in(inputs.group("per_user")))
