"""The nightly run: from raw KuaiRec files to compared models and everybody's list."""

from typing import Any

from prefect import flow

from flows.command import run_flow
from flows.parameters import flags, takes
from schemas.config import NightlyConfig, checked_config
from tasks.acquire import acquire
from tasks.evaluate import ORACLE, evaluate, frame, rank_models
from tasks.ingest import ingest
from tasks.prepare import (
    befriend,
    cut,
    describe_users,
    describe_videos,
    examine,
    index,
    label,
    pairs,
)
from tasks.recommend import recommend
from tasks.report import Summary, check_summary, summarise
from tasks.steps import Refs
from tasks.track import check_tracking, track
from tasks.train import train


@flow(name="nightly", flow_run_name="nightly-{source}", validate_parameters=False)
@takes(NightlyConfig)
def nightly(**settings: Any) -> Summary:
    """From raw KuaiRec files to compared models and everybody's top-N list."""
    config = checked_config(settings)
    root, seed = config.root, config.seed
    check_summary(config.summary)
    check_tracking(config.tracking_address)

    raw = acquire(config.source, config.scale, seed, root)
    tables = {}
    for table, file in raw.files.items():
        made = ingest(table, file, raw.checksums[table], config.max_reject_share, root)
        tables[table] = made[table]

    as_of = cut(tables, config.as_of, root)
    tables |= index(tables, as_of, root)
    tables |= label(tables, as_of, root)
    tables |= pairs(tables, as_of, root)
    tables |= describe_users(tables, as_of, root)
    tables |= describe_videos(tables, as_of, root)
    tables |= befriend(tables, root)
    tables |= examine(tables, as_of, root)

    models: Refs = {}
    per_user: Refs = {ORACLE: frame(tables, root)["per_user"]}
    for name in config.models:
        hyper = config.model_settings(name).model_dump(mode="json")
        models |= train(name, hyper, tables, as_of, seed, root)
        per_user[name] = evaluate(models[name], tables, root)["per_user"]

    leaderboard = rank_models(per_user, seed, root)["leaderboard"]
    best_first = [models[name] for name in leaderboard.facts["order_by_tune_users"]]
    lists = recommend(best_first, tables, config.top_n, root)["top_n"]
    runs = track(config, raw, as_of, tables, models, per_user, leaderboard)
    return summarise(config, raw, as_of, tables, models, per_user, leaderboard, lists, runs)


if __name__ == "__main__":
    run_flow(nightly, flags(NightlyConfig, "python -m flows.nightly"), "python -m flows.nightly")
