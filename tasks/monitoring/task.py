"""Watching: whether a night's files, log, champion and reach are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

from prefect.client.schemas import State

from schemas.artifacts import Snapshot
from schemas.errors import TrackingError, WatchError
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import NightlyConfig
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Inputs, Outputs, Parent, Refs, RunContext, table_task
from tasks.models.servable import sampled_users, served
from tasks.monitoring.checks import (
    FLAGS,
    age_readings,
    complaint,
    count_readings,
    drift_readings,
    unserved_readings,
    watch_rows,
)
from tasks.monitoring.drift import log_drift
from tasks.reporting.prefect_artifacts import publish_checks
from tasks.training.task import load_models

if TYPE_CHECKING:  # MLflow takes seconds to import
    from tasks.monitoring.history import Trailing

LIMITS = {flag.removeprefix("--").replace("-", "_") for flag in FLAGS.values()}
PARENTS = ("interactions", "videos", "user_index", "video_index")


Counts: TypeAlias = dict[str, dict[str, int]]
"""What became of the rows of each file, by table."""


def counts_of(known: Snapshot) -> Counts:
    """Return what became of the rows of each file, by table."""
    return {
        n: ref.metadata["counts"] for n, ref in known.tables.items() if "counts" in ref.metadata
    }


def asked(known: Snapshot) -> list[str]:
    """Return the models asked what they can serve: not random, which serves all, nor a blend.

    A blend serves what its components do.
    """
    return [name for name in known.models if name != "random" and not MODEL_CONFIGS[name].is_blend]


def unserved_shares(inputs: Inputs) -> dict[str, float]:
    """Return the share of users, of some, and of videos that no model but random can serve."""
    n_users, n_videos = (inputs[f"{kind}_index"].rows or 0 for kind in ("user", "video"))
    models = load_models(inputs, "model").values()
    users, videos = served(models, sampled_users(n_users), n_videos)
    return {
        kind: 1 - int(is_served.sum()) / max(len(is_served), 1)
        for kind, is_served in (("users", users), ("videos", videos))
    }


@table_task(
    stage="watch",
    reads=("interactions", "videos", "user_index", "video_index", "model/*"),
    writes=("watch",),
)
def check_night(
    inputs: Inputs,
    out: Outputs,
    *,
    as_of: date,
    earlier: date,
    counts: Counts,
    limits: Mapping[str, float],
    medians: Mapping[str, float],
    champion_as_of: date | None,
) -> None:
    """Check a night: its counts, the drift of its log, its champion's age, and its reach."""
    drift = log_drift(inputs.scan("interactions"), inputs.read("videos"), earlier, as_of)
    readings = [
        *count_readings(counts, limits["max_reject_share"], limits["max_row_change"]),
        *drift_readings(drift, earlier, limits["max_psi"]),
        *age_readings(as_of, champion_as_of, int(limits["max_champion_age_days"])),
        *unserved_readings(unserved_shares(inputs), limits["max_unserved_share"]),
    ]
    out["watch"].append(watch_rows(readings, medians))


def checked_table(
    config: NightlyConfig, earlier: date, known: Snapshot, before: Trailing
) -> tuple[Refs, bool]:
    """Return the table ``watch`` of a night, and whether it was there before."""
    inputs: dict[str, Parent] = {name: known.tables[name] for name in PARENTS}
    inputs |= {f"model/{name}": known.models[name] for name in asked(known)}
    settings = {
        "earlier": earlier,
        "counts": counts_of(known),
        "limits": config.model_dump(include=LIMITS),
        "medians": dict(before.medians),
        "champion_as_of": before.champion_as_of,
    }
    run = RunContext(config.root, config.seed, known.as_of)
    return check_night.build_or_reuse(run, inputs, settings)


@plain_task("{known.as_of}", hours=1, retry_on=TrackingError)
def monitor(
    config: NightlyConfig, earlier: date, known: Snapshot, runs: Mapping[str, str]
) -> State[Refs]:
    """Write the table ``watch`` of a night, log it to the night's run, and show it.

    ``earlier`` is the rehearsal's day: the log from it on is compared with what was before.
    WatchError, after all that, if anything is past its threshold and ``config.fail_on_alert`` set.
    """
    from tasks.monitoring.history import log_readings, trailing
    from tasks.promotion.model_registry import registered_name
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        name = registered_name(client, config, runs["night"])
        before = trailing(client, runs["night"], config.source, name)
        refs, was_there = checked_table(config, earlier, known, before)
        rows = Store(config.root).read(refs["watch"])
        keys = (f"{measure}/{part}" for measure, part in rows.select("measure", "part").rows())
        log_readings(client, runs["night"], dict(zip(keys, rows["value"], strict=True)))
    publish_checks(rows)
    past = complaint(rows)
    if past and config.fail_on_alert:
        raise WatchError(
            f"the night of {known.as_of} is not as usual: {past}. It is logged, and the champion"
            " stays; if this is as it should be, raise the thresholds named or leave out"
            " --fail-on-alert"
        )
    return finished(refs, was_there=was_there, message=f"past a threshold: {past or 'nothing'}")
