"""Watching: whether a night's files, log, champion and reach are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

from prefect.client.schemas import State

from schemas.artifacts import Snapshot
from schemas.errors import MonitoringAlertError, TrackingError
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import NightlyConfig
from tasks.artifacts.inputs import Inputs, Outputs, Parent, Refs
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext, table_task
from tasks.models.servable import sampled_users, served
from tasks.monitoring.checks import (
    FLAGS,
    age_checks,
    check_rows,
    count_checks,
    describe_alerts,
    drift_checks,
    unserved_checks,
)
from tasks.monitoring.drift import log_drift
from tasks.reporting.prefect_artifacts import publish_checks
from tasks.training.task import load_model

if TYPE_CHECKING:  # MLflow takes seconds to import
    from tasks.monitoring.history import Trailing

LIMITS = {flag.removeprefix("--").replace("-", "_") for flag in FLAGS.values()}
PARENTS = ("interactions", "video_tags", "user_index", "video_index")


Counts: TypeAlias = dict[str, dict[str, int]]
"""What became of the rows of each file, by table."""


def counts_of(snapshot: Snapshot) -> Counts:
    """Return what became of the rows of each file, by table."""
    return {
        n: ref.metadata["counts"] for n, ref in snapshot.tables.items() if "counts" in ref.metadata
    }


def asked(snapshot: Snapshot) -> list[str]:
    """Return the models asked what they can serve: not random, which serves all, nor a blend.

    A blend serves what its components do.
    """
    return [
        name for name in snapshot.models if name != "random" and not MODEL_CONFIGS[name].is_blend
    ]


def unserved_shares(inputs: Inputs) -> dict[str, float]:
    """Return the share of users, of some, and of videos that no model but random can serve."""
    n_users, n_videos = (inputs[f"{kind}_index"].rows or 0 for kind in ("user", "video"))
    models = (load_model(inputs.store, ref) for ref in inputs.group("model").values())
    users, videos = served(models, sampled_users(n_users), n_videos)
    return {
        kind: 1 - int(is_served.sum()) / max(len(is_served), 1)
        for kind, is_served in (("users", users), ("videos", videos))
    }


@table_task(
    stage="monitoring",
    reads=("interactions", "video_tags", "user_index", "video_index", "model/*"),
    writes=("monitoring_checks",),
)
def check_night(
    inputs: Inputs,
    out: Outputs,
    *,
    as_of: date,
    backtest_day: date,
    counts: Counts,
    limits: Mapping[str, float],
    medians: Mapping[str, float],
    champion_as_of: date | None,
) -> None:
    """Check a night: its counts, the drift of its log, its champion's age, and its reach."""
    drift = log_drift(inputs.scan("interactions"), inputs.read("video_tags"), backtest_day, as_of)
    checks = [
        *count_checks(counts, limits["max_reject_share"], limits["max_row_change"]),
        *drift_checks(drift, backtest_day, limits["max_psi"]),
        *age_checks(as_of, champion_as_of, int(limits["max_champion_age_days"])),
        *unserved_checks(unserved_shares(inputs), limits["max_unserved_share"]),
    ]
    out["monitoring_checks"].append(check_rows(checks, medians))


def checked_table(
    config: NightlyConfig, backtest_day: date, snapshot: Snapshot, before: Trailing
) -> tuple[Refs, bool]:
    """Return the table ``monitoring_checks`` of a night, and whether it was there before."""
    inputs: dict[str, Parent] = {name: snapshot.tables[name] for name in PARENTS}
    inputs |= {f"model/{name}": snapshot.models[name] for name in asked(snapshot)}
    settings = {
        "backtest_day": backtest_day,
        "counts": counts_of(snapshot),
        "limits": config.model_dump(include=LIMITS),
        "medians": dict(before.medians),
        "champion_as_of": before.champion_as_of,
    }
    run = RunContext(config.root, config.seed, snapshot.as_of)
    return check_night.build_or_reuse(run, inputs, settings)


@plain_task("{snapshot.as_of}", hours=1, retry_on=TrackingError)
def monitor(
    config: NightlyConfig, backtest_day: date, snapshot: Snapshot, runs: Mapping[str, str]
) -> State[Refs]:
    """Write the table ``monitoring_checks`` of a night, log it to the night's run, and show it.

    ``backtest_day`` is the backtest's day: the log from it on is compared with what was before.
    MonitoringAlertError, after all that, if anything is past its threshold and
    ``config.fail_on_alert`` set.
    """
    from tasks.monitoring.history import log_checks, trailing
    from tasks.promotion.model_registry import registered_name
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        name = registered_name(client, config, runs["night"])
        before = trailing(client, runs["night"], config.source, name)
        refs, was_there = checked_table(config, backtest_day, snapshot, before)
        RunReferences(config.root).add(runs["night"], refs)
        rows = Store(config.root).read(refs["monitoring_checks"])
        keys = (
            f"{measure}/{part}" for measure, part in rows.select("measure", "slice_value").rows()
        )
        log_checks(client, runs["night"], dict(zip(keys, rows["value"], strict=True)))
    publish_checks(rows)
    past = describe_alerts(rows)
    if past and config.fail_on_alert:
        raise MonitoringAlertError(
            f"the night of {snapshot.as_of} is not as usual: {past}. It is logged, and the champion"
            " stays; if this is as it should be, raise the thresholds named or leave out"
            " --fail-on-alert"
        )
    return finished(refs, was_there=was_there, message=f"past a threshold: {past or 'nothing'}")
