"""The audit: had one only had the log, which number would have put the models in their order?"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.evaluation.task import load_exam, per_user_rows, protocol_in, protocol_of
from tasks.metrics.eval_set import measure
from tasks.metrics.holdout_metrics import LOG_ESTIMATORS, NextDays, measure_next_days
from tasks.metrics.labels import PRIMARY
from tasks.metrics.leaderboard import leaderboard_of
from tasks.metrics.paired_differences import comparisons_of
from tasks.metrics.rank_correlation_tables import agreements_of, boards_by_label
from tasks.metrics.ranking import rank
from tasks.training.task import code_of, load_model

STAGE = "audit"
K = 10
"""Length of the lists by which the two test beds are compared."""
TABLES = ("next_days_leaderboard", "leaderboard", "comparisons", "agreements", "swaps")

RIVALS = ("random", "popularity")
"""Whom all are compared with on the next days."""


@lru_cache(maxsize=1)
def _next_days(root: str, next_days: str, pairs: str, n_videos: int) -> NextDays:
    """Read what users saw next; it stays in memory, as all models are asked the same."""
    store = Store(root)
    after, before = (ArtifactRef.model_validate_json(ref) for ref in (next_days, pairs))
    seen_before = store.read(before, ["user_idx", "video_idx", "enjoyed"])
    return NextDays.of(store.read(after), seen_before, n_videos)


@step("foresee", "foresee-{name}-{past.as_of}")
def foresee(name: str, past: Known, root: str) -> State[Refs]:
    """Measure one model of the rehearsal on what test users saw next, and on the exam."""
    store = Store(root)
    tables = past.tables
    parents = ("next_days", "pairs", "user_index", "video_index", "cells")

    def build(drafts: dict[str, Draft]) -> None:
        index, n_videos = store.read(tables["user_index"]), tables["video_index"].rows or 0
        after, before = (tables[table].model_dump_json() for table in ("next_days", "pairs"))
        days, exam = _next_days(root, after, before, n_videos), load_exam(root, tables["cells"])
        tested = exam.of_test_users
        scores = load_model(store, past.models[name]).score(tested.user_idx)
        # Whoever saw something next is a test user of the exam, so that one scoring does for both
        figures = measure_next_days(days, scores[np.searchsorted(tested.user_idx, days.user_idx)])
        drafts["next_days_per_user"].append(
            per_user_rows(figures.with_columns(is_test=pl.lit(value=True)), name, index)
        )
        on_cells = np.ascontiguousarray(scores[:, tested.video_idx])
        ranked = rank(on_cells, tested.candidates, K)
        on_block, _ = measure(tested, on_cells, ranked, ks=(K,), labels=(PRIMARY,))
        drafts["per_user"].append(per_user_rows(on_block, name, index))
        for draft in drafts.values():
            draft.facts["protocol"] = protocol_of(tables["cells"]).model_dump(mode="json")

    return make(
        store,
        STAGE,
        ("next_days_per_user", "per_user"),
        build,
        parents={"model": past.models[name], **{table: tables[table] for table in parents}},
        found=code_of(past, name),
        config={"model": name, "k": K},
    )


@step("audit")
def audit(foreseen: Mapping[str, Mapping[str, ArtifactRef]], seed: int, root: str) -> State[Refs]:
    """Rank the rehearsal's models by each estimate from the log and by the fully observed block."""
    store = Store(root)
    protocol = protocol_in({name: made["per_user"] for name, made in foreseen.items()})

    def all_of(table: str) -> pl.DataFrame:
        return pl.concat([store.read(made[table]) for made in foreseen.values()])

    def build(drafts: dict[str, Draft]) -> None:
        seen_next = all_of("next_days_per_user")
        drafts["comparisons"].append(comparisons_of(seen_next, RIVALS, seed))
        on_log, on_block = leaderboard_of(seen_next, seed), leaderboard_of(all_of("per_user"), seed)
        drafts["next_days_leaderboard"].append(on_log)
        drafts["leaderboard"].append(on_block)
        truth = f"block/{PRIMARY}"
        boards = boards_by_label(on_log, "log") | boards_by_label(on_block, "block")
        pairs = [(f"log/{name}", truth) for name in LOG_ESTIMATORS if f"log/{name}" in boards]
        agreements, swaps = agreements_of(boards, pairs)
        drafts["agreements"].append(agreements)
        drafts["swaps"].append(swaps)
        for draft in drafts.values():
            draft.facts["protocol"] = protocol.model_dump(mode="json")

    return make(
        store,
        STAGE,
        TABLES,
        build,
        parents={
            f"{n}_{table}": ref for n, made in foreseen.items() for table, ref in made.items()
        },
        config={"models": list(foreseen), "estimators": list(LOG_ESTIMATORS)},
        seed=seed,
    )
