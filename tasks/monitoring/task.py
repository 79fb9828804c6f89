"""Watching: whether a night's files, log, champion and reach are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from prefect.client.schemas import State

from schemas.artifacts import Known
from schemas.errors import TrackingError, WatchError
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import NightlyConfig
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, ensure, settled, step
from tasks.artifacts.writer import Draft
from tasks.models.servable import sampled_users, served
from tasks.monitoring.checks import (
    FLAGS,
    Reading,
    age_readings,
    complaint,
    count_readings,
    drift_readings,
    unserved_readings,
    watch_rows,
)
from tasks.monitoring.drift import log_drift
from tasks.reporting.prefect_artifacts import show_watch
from tasks.training.task import code_of, load_model

if TYPE_CHECKING:  # MLflow takes seconds to import
    from tasks.monitoring.history import Trailing

LIMITS = {flag.removeprefix("--").replace("-", "_") for flag in FLAGS.values()}
PARENTS = ("interactions", "videos", "user_index", "video_index")


def counts_of(known: Known) -> dict[str, dict[str, int]]:
    """Return what became of the rows of each file, by table."""
    return {n: ref.facts["counts"] for n, ref in known.tables.items() if "counts" in ref.facts}


def asked(known: Known) -> list[str]:
    """Return the models asked what they can serve: not random, which serves all, nor a blend.

    A blend serves what its components do.
    """
    return [name for name in known.models if name != "random" and not MODEL_CONFIGS[name].is_blend]


def unserved_shares(known: Known, store: Store) -> dict[str, float]:
    """Return the share of users, of some, and of videos that no model but random can serve."""
    n_users, n_videos = (known.tables[f"{kind}_index"].rows or 0 for kind in ("user", "video"))
    models = (load_model(store, known.models[name]) for name in asked(known))
    users, videos = served(models, sampled_users(n_users), n_videos)
    return {
        kind: 1 - int(is_served.sum()) / max(len(is_served), 1)
        for kind, is_served in (("users", users), ("videos", videos))
    }


def readings_of(
    config: NightlyConfig, earlier: date, known: Known, champion: date | None
) -> list[Reading]:
    """Read a night: its counts, the drift of its log, its ``champion``'s age, and its reach."""
    store = Store(config.root)
    log, videos = store.scan(known.tables["interactions"]), store.read(known.tables["videos"])
    drift = log_drift(log, videos, earlier, known.as_of)
    return [
        *count_readings(counts_of(known), config.max_reject_share, config.max_row_change),
        *drift_readings(drift, earlier, config.max_psi),
        *age_readings(known.as_of, champion, config.max_champion_age_days),
        *unserved_readings(unserved_shares(known, store), config.max_unserved_share),
    ]


def watch_table(
    config: NightlyConfig, earlier: date, known: Known, before: Trailing
) -> tuple[Refs, bool]:
    """Return the table ``watch`` of a night, and whether it was there before."""
    tables, names = known.tables, asked(known)

    def build(drafts: dict[str, Draft]) -> None:
        readings = readings_of(config, earlier, known, before.champion_as_of)
        drafts["watch"].append(watch_rows(readings, before.medians))

    return ensure(
        Store(config.root),
        "watch",
        ("watch",),
        build,
        parents={
            **{name: tables[name] for name in PARENTS},
            **{f"model_{name}": known.models[name] for name in names},
        },
        found=[found for name in names for found in code_of(known, name)],
        config={
            "days": [str(earlier), str(known.as_of)],
            "counts": counts_of(known),
            "limits": config.model_dump(include=LIMITS),
            "medians": dict(before.medians),
            "champion_as_of": str(before.champion_as_of),
        },
    )


@step("watch", "watch-{known.as_of}", retry_on=TrackingError)
def watch(
    config: NightlyConfig, earlier: date, known: Known, runs: Mapping[str, str]
) -> State[Refs]:
    """Write the table ``watch`` of a night, log it to the night's run, and show it.

    ``earlier`` is the rehearsal's day: the log from it on is compared with what was before.
    WatchError, after all that, if anything is past its threshold and ``config.stop_on_drift`` set.
    """
    from tasks.monitoring.history import log_readings, trailing
    from tasks.promotion.model_registry import registered_name
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        name = registered_name(client, config, runs["night"])
        before = trailing(client, runs["night"], config.source, name)
        refs, was_there = watch_table(config, earlier, known, before)
        rows = Store(config.root).read(refs["watch"])
        keys = (f"{measure}/{part}" for measure, part in rows.select("measure", "part").rows())
        log_readings(client, runs["night"], dict(zip(keys, rows["value"], strict=True)))
    show_watch(rows)
    past = complaint(rows)
    if past and config.stop_on_drift:
        raise WatchError(
            f"the night of {known.as_of} is not as usual: {past}. It is logged, and the champion"
            " stays; if this is as it should be, raise the thresholds named or leave out"
            " --stop-on-drift"
        )
    return settled(refs, was_there=was_there, message=f"past a threshold: {past or 'nothing'}")
