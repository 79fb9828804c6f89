"""The audit: had one only had the log, which number would have put the models in their order?"""

from collections.abc import Mapping

import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from schemas.tables import CONTRACTS
from tasks.metrics.agreements import agreements_of, boards_by_label
from tasks.metrics.block import PRIMARY
from tasks.metrics.leaderboard import leaderboard_of
from tasks.metrics.next_days import LOG_ESTIMATORS, NextDays, measure_next_days
from tasks.steps import Refs, make, recipe, step
from tasks.store import Draft, Store
from tasks.train import code_of, load_model

STAGE = "audit"
TABLES = ("next_days_leaderboard", "leaderboard", "agreements", "swaps")


@step("foresee", "foresee-{name}-{past.as_of}")
def foresee(name: str, past: Known, root: str) -> State[Refs]:
    """Measure one model of the rehearsal on what test users saw next: ``next_days_per_user``."""
    store = Store(root)
    parents = ("next_days", "pairs", "user_index", "video_index")

    def build(drafts: dict[str, Draft]) -> None:
        index = store.read(past.tables["user_index"])
        pairs = store.read(past.tables["pairs"], ["user_idx", "video_idx", "enjoyed"])
        n_videos = past.tables["video_index"].rows or 0
        days = NextDays.of(store.read(past.tables["next_days"]), pairs, n_videos)
        scores = load_model(store, past.models[name]).score(days.user_idx)
        figures = measure_next_days(days, scores).join(index, on="user_idx", maintain_order="left")
        drafts["next_days_per_user"].append(
            figures.select(
                *(pl.lit(name).alias("model"), "label", "metric", "k", "user_id"),
                *(pl.lit(value=True).alias("is_test"), "value"),
            )
        )

    how = recipe(
        STAGE,
        parents={"model": past.models[name], **{table: past.tables[table] for table in parents}},
        code=(*code_of(past, name), NextDays, measure_next_days, CONTRACTS["next_days_per_user"]),
        config={"model": name},
    )
    return make(store, how, ("next_days_per_user",), build)


@step("audit")
def audit(
    foreseen: Mapping[str, ArtifactRef], per_user: Mapping[str, ArtifactRef], seed: int, root: str
) -> State[Refs]:
    """Rank the rehearsal's models by each estimate from the log and by the fully observed block."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        seen_next = pl.concat([store.read(ref) for ref in foreseen.values()])
        on_log = leaderboard_of(seen_next, seed)
        drafts["next_days_leaderboard"].append(on_log)
        on_block = leaderboard_of(pl.concat([store.read(r) for r in per_user.values()]), seed)
        drafts["leaderboard"].append(on_block)
        truth = f"block/{PRIMARY}"
        boards = boards_by_label(on_log, "log") | boards_by_label(on_block, "block")
        pairs = [(f"log/{name}", truth) for name in LOG_ESTIMATORS if f"log/{name}" in boards]
        agreements, swaps = agreements_of(boards, pairs)
        drafts["agreements"].append(agreements)
        drafts["swaps"].append(swaps)

    how = recipe(
        STAGE,
        parents={
            **{f"log_{name}": ref for name, ref in foreseen.items()},
            **{f"block_{name}": ref for name, ref in per_user.items()},
        },
        code=(
            *(leaderboard_of, boards_by_label, agreements_of),
            *(CONTRACTS[name] for name in TABLES),
        ),
        config={"models": list(foreseen), "estimators": list(LOG_ESTIMATORS)},
        seed=seed,
    )
    return make(store, how, TABLES, build)
