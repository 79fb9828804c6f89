"""The night as a plain script: the bodies of the same tasks in turn, without Prefect around them.

MLflow and the notices are left out too: nothing of them is needed for models, figures and lists.
The gate is asked, and the monitoring's table made, as on a first night, which no other stands
before.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from prefect import State
from prefect.logging import disable_run_logger

from flows.pipeline import ingest_files, run_night
from schemas.artifacts import ArtifactRef, NightResult
from schemas.settings import NightlyConfig
from tasks.artifacts.plain_task import PlainTask
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Handle, Input, RunContext, TableTask
from tasks.evaluation.frames import challenger_of
from tasks.features.task import resolve_cutoffs
from tasks.monitoring.history import Trailing
from tasks.monitoring.task import checked_table
from tasks.promotion.task import decided
from tasks.serving.task import ChampionSource, load_catalogue, top_n_table
from tasks.sources.task import acquire
from tasks.training.task import load_model


def plain(task: PlainTask[..., Any]) -> Callable[..., Any]:
    """Return the body of a task, to be called within ``without_prefect``."""
    body = task.__wrapped__  # type: ignore[attr-defined]  # set by update_wrapper

    def call(*args: Any, **kwargs: Any) -> Any:
        made = body(*args, **kwargs)
        return made.data if isinstance(made, State) else made

    return call


def at_once(
    task: TableTask, run: RunContext, inputs: dict[str, Input], **settings: Any
) -> dict[str, Handle]:
    """Do what ``TableTask.submit`` would have Prefect do."""
    chosen = task.chosen(inputs)
    parents = {role: i.ref if isinstance(i, Handle) else i for role, i in chosen.items()}
    refs, _ = task.build_or_reuse(run, parents, settings)
    return {name: Handle(refs, name) for name in refs}


@contextmanager
def without_prefect() -> Iterator[None]:
    """Do at once what is submitted, and let nothing ask for Prefect's server."""
    told, before = logging.getLogger("tasks"), logging.getLogger("tasks").level
    told.setLevel(logging.WARNING)  # logged progress becomes an artifact
    try:
        with disable_run_logger(), patch.object(TableTask, "submit", at_once):
            yield
    finally:
        told.setLevel(before)


def plain_night(config: NightlyConfig) -> list[ArtifactRef]:
    """Do what the nightly flow does; return leaderboard, everybody's list, monitoring."""
    run = RunContext(config.root, config.seed)
    raw = plain(acquire)(run, config.source, config.scale)
    tables = ingest_files(config, run, raw)
    log = tables["interactions"].ref
    days = plain(resolve_cutoffs)(run, log, config.as_of, config.backtest_days)
    night = run_night(config, run, tables, days)
    nights_before = Trailing(medians={}, champion_as_of=None)
    checks, _ = checked_table(config, night.backtest.as_of, night.snapshot, nights_before)
    champion = champion_of(config, night)
    lists, _ = top_n_table(config, night.snapshot, night.evaluation, champion)
    return [night.evaluation.leaderboard, lists["top_n"], checks["monitoring_checks"]]


def champion_of(config: NightlyConfig, night: NightResult) -> ChampionSource | None:
    """Return the night's own model if the gate would promote it on a first night."""
    store, snapshot = Store(config.root), night.snapshot
    if not decided(config, snapshot, night.evaluation, None).is_promoted:
        return None
    ref = snapshot.models[challenger_of(night.evaluation)]
    return ChampionSource(
        ref.name,
        ref.content,
        snapshot.as_of,
        lambda: (load_model(store, ref), load_catalogue(store, snapshot.tables)),
    )
