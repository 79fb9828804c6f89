"""The audit: had one only had the log, which number would have put the models in their order?"""

from functools import lru_cache
from threading import Lock

import numpy as np
import polars as pl

from schemas.artifacts import ArtifactRef
from tasks.artifacts.free_memory import give_back
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import table_task
from tasks.evaluation.task import (
    per_user_rows,
    protocol_in,
    protocol_of,
    state_protocol,
)
from tasks.metrics.eval_set import EvalSet, measure
from tasks.metrics.holdout_metrics import LOG_ESTIMATORS, HoldoutSet, measure_holdout, together
from tasks.metrics.labels import PRIMARY
from tasks.metrics.leaderboard import leaderboard_of
from tasks.metrics.paired_differences import comparisons_of
from tasks.metrics.rank_correlation_tables import boards_by_label, rank_correlations_of
from tasks.metrics.ranking import rank
from tasks.models.base import users_in_parts
from tasks.training.task import load_model

STAGE = "offline_metric_audit"
K = 10
"""Length of the lists by which the two test sets are compared."""

RIVALS = ("random", "popularity")
"""Whom all are compared with on the holdout."""

_reading = Lock()


def load_holdout(
    store: Store, holdout: ArtifactRef, pairs: ArtifactRef, n_videos: int
) -> HoldoutSet:
    """Read what users saw next; it stays in memory, as all models are asked the same."""
    with _reading:  # two tasks at a time must not hold it twice
        return _holdout(store.root, holdout.model_dump_json(), pairs.model_dump_json(), n_videos)


@lru_cache(maxsize=1)
def _holdout(root: str, holdout: str, pairs: str, n_videos: int) -> HoldoutSet:
    store = Store(root)
    after, before = (ArtifactRef.model_validate_json(ref) for ref in (holdout, pairs))
    return HoldoutSet.of(store.parted(after), store.parted(before), n_videos)


def load_tested(store: Store, cells: ArtifactRef) -> EvalSet:
    """Read the eval set of test users; it stays in memory, as all models are asked it."""
    with _reading:
        return _tested(store.root, cells.model_dump_json())


@lru_cache(maxsize=1)
def _tested(root: str, cells: str) -> EvalSet:
    pairs = Store(root).parted(ArtifactRef.model_validate_json(cells))
    return EvalSet.read(pairs.where(pl.col("is_test")), labels=[PRIMARY])


@table_task(
    stage=STAGE,
    reads=("model", "holdout", "user_item", "user_index", "video_index", "eval_pairs"),
    writes=("holdout_per_user", "per_user"),
    key="model",
)
def evaluate_holdout(inputs: Inputs, out: Outputs, *, model: str) -> None:
    """Measure one model of the backtest on what test users saw next, and on the eval set."""
    index, n_videos = inputs.read("user_index"), inputs["video_index"].rows or 0
    days = load_holdout(inputs.store, inputs["holdout"], inputs["user_item"], n_videos)
    tested = load_tested(inputs.store, inputs["eval_pairs"])
    fitted = load_model(inputs.store, inputs["model"])
    on_cells, seen_next = np.empty(tested.candidates.shape, dtype=np.float32), []
    for rows in users_in_parts(len(tested.user_idx), n_videos):
        user_idx = tested.user_idx[rows]
        scores = fitted.score(user_idx)
        on_cells[rows] = scores[:, tested.video_idx]
        # Whoever saw something next is a test user of the eval set, so one scoring does for both
        asked = days.of_users(user_idx)
        their_scores = scores[np.searchsorted(user_idx, asked.user_idx)]
        seen_next.append(measure_holdout(asked, their_scores))
    figures = together(seen_next)
    out["holdout_per_user"].append(
        per_user_rows(figures.with_columns(is_test=pl.lit(value=True)), model, index)
    )
    ranked = rank(on_cells, tested.candidates, K)
    on_block, _ = measure(tested, on_cells, ranked, ks=(K,), labels=(PRIMARY,))
    out["per_user"].append(per_user_rows(on_block, model, index))
    state_protocol(out, protocol_of(inputs["eval_pairs"]))


@table_task(
    stage=STAGE,
    reads=("holdout_per_user/*", "per_user/*"),
    writes=(
        "holdout_leaderboard",
        "leaderboard",
        "comparisons",
        "rank_correlations",
        "rank_inversions",
    ),
)
def audit_offline_metrics(inputs: Inputs, out: Outputs, *, seed: int) -> None:
    """Rank the backtest's models by each estimate from the log and by the fully observed block."""
    for kept in (_holdout, _tested):  # all models were asked: what follows needs the memory
        kept.cache_clear()
    give_back()
    seen_next = inputs.concat("holdout_per_user")
    out["comparisons"].append(comparisons_of(seen_next, RIVALS, seed))
    on_log = leaderboard_of(seen_next, seed)
    on_block = leaderboard_of(inputs.concat("per_user"), seed)
    out["holdout_leaderboard"].append(on_log)
    out["leaderboard"].append(on_block)
    truth = f"small_matrix/{PRIMARY}"
    boards = boards_by_label(on_log, "log") | boards_by_label(on_block, "small_matrix")
    pairs = [(f"log/{name}", truth) for name in LOG_ESTIMATORS if f"log/{name}" in boards]
    rank_correlations, rank_inversions = rank_correlations_of(boards, pairs)
    out["rank_correlations"].append(rank_correlations)
    out["rank_inversions"].append(rank_inversions)
    state_protocol(out, protocol_in(inputs.group("per_user")))
