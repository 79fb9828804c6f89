"""What a version's card and a night's run say of its model, read off the night's tables."""

from __future__ import annotations

import polars as pl

from schemas.artifacts import EvaluationTables, Snapshot
from schemas.settings import NightlyConfig
from tasks.artifacts.store import Store
from tasks.evaluation.task import protocol_in
from tasks.features.cutoff import SHANGHAI, before
from tasks.metrics.labels import PRIMARY
from tasks.promotion.model_card import K, Subject


def subject_of(
    config: NightlyConfig,
    source: str,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    model: str,
    run_id: str,
) -> Subject:
    """Return what a version's card says of its model and of what that has learned from."""
    log = Store(config.root).scan(snapshot.tables["interactions"]).filter(before(snapshot.as_of))
    first = pl.col("viewed_at").min().dt.convert_time_zone(str(SHANGHAI)).dt.date()
    views, first_day = log.select(pl.len(), first.alias("first")).collect().row(0)
    return Subject(
        model=model,
        source=source,
        is_demo=source.startswith("demo"),
        as_of=snapshot.as_of,
        first_day=first_day,
        views=views,
        users=snapshot.tables["user_index"].rows or 0,
        videos=snapshot.tables["video_index"].rows or 0,
        protocol=protocol_in({"leaderboard": evaluation.leaderboard}),
        run_id=run_id,
    )


def ends_of(leaderboard: pl.DataFrame, model: str) -> dict[str, float]:
    """Return the ends of the interval of a model's NDCG@10, as a night's run shows them."""
    row = leaderboard.filter(model=model, label=PRIMARY, metric="ndcg", k=K).row(0, named=True)
    ends = {f"best_ndcg_at_{K}_{end}": row[end] for end in ("low", "high")}
    return {name: value for name, value in ends.items() if value is not None}
