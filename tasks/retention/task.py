"""Pruning: a root and its MLflow are looked at, what goes is said, and then it goes."""

from __future__ import annotations

import logging
import os
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.paths import absolute, is_url
from schemas.retention_settings import PruneConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.retention.pruning_plan import DAY_SECONDS, NamedByRuns, RootPlan
from tasks.retention.summary_of_pruning import Pruning

if TYPE_CHECKING:  # MLflow takes seconds to import
    from tasks.tracking.pruning import Client, OldRuns

logger = logging.getLogger(__name__)

JUST_SECONDS = 60.0
"""Who has made a folder has put something into it by then."""


@dataclass(frozen=True)
class Plan:
    """All that a pruning removes, and how it is said."""

    runs: OldRuns
    root: RootPlan
    said: Pruning


@plain_task("{config.root}", hours=12)
def prune_root(config: PruneConfig) -> Pruning:
    """Wait until nobody is at work on the root, say what goes, and remove it.

    TrackingError where MLflow cannot be asked: then nothing says what is to be kept.
    """
    return pruned(config)


def pruned(config: PruneConfig) -> Pruning:
    """Do what ``prune_root`` does."""
    from tasks.tracking.night_run import reachable

    store = Store(config.root)
    store.check_access()
    store.check_settled()
    with reachable(config.tracking_address) as client, undisturbed(config):
        plan = planned(client, config, time.time())
        for line in plan.said.words():
            logger.info("%s", line)
        if config.dry_run:
            return plan.said
        store.clean_staging()
        return carried_out(client, config, plan)


def undisturbed(config: PruneConfig) -> AbstractContextManager[None]:
    """Wait until nobody else uses the root, or, where it is only looked at, prunes it."""
    backend = backend_of(config.root)
    return backend.at_work() if config.dry_run else backend.at_rest()


def planned(client: Client, config: PruneConfig, now: float) -> Plan:
    """Look at MLflow and the root, and say what goes."""
    from tasks.tracking.pruning import datasets_of, files_of, ids_of, old_runs

    runs = old_runs(client, config, now)
    kept = [run for one in runs.kept for run in one.runs]
    every = [*kept, *runs.going, *runs.trash]
    named = NamedByRuns(ids_of(kept), ids_of(every), datasets_of(kept), datasets_of(every))
    root = RootPlan.of(backend_of(config.root), named, now - config.keep_days * DAY_SECONDS)
    files, bytes_ = files_of(client, [*runs.going, *runs.trash])
    said = Pruning(
        root=config.root,
        is_dry_run=config.dry_run,
        artifacts=len(root.artifacts),
        files=root.files + files,
        bytes=root.bytes + bytes_,
        leftovers=len(root.leftovers),
        pages=len(root.pages),
        nights=len(runs.old),
        runs=len(runs.going),
        versions=len(runs.versions),
        kept_artifacts=root.kept,
        kept_nights=len(runs.kept),
        not_collected=None,
    )
    return Plan(runs, root, said)


def carried_out(client: Client, config: PruneConfig, plan: Plan) -> Pruning:
    """Remove what a plan names, runs before what they name, so that none names what is gone."""
    from tasks.tracking.moved_root import FILES
    from tasks.tracking.pruning import empty_trash, mark_deleted

    mark_deleted(client, plan.runs)
    plan.root.carry_out(backend_of(config.root))
    gone = [run.info.run_id for run in (*plan.runs.going, *plan.runs.trash)]
    why_not = empty_trash(client, config, gone)
    if why_not is not None:
        logger.warning("%s", why_not)
    if not is_url(config.root):
        remove_empty_folders(absolute(config.root) / FILES)
    return plan.said.model_copy(update={"not_collected": why_not})


def remove_empty_folders(folder: Path) -> None:
    """Remove what MLflow's garbage collection leaves: the folders of runs and models, with nothing.

    Not those that somebody has just made: another root may use the same MLflow.
    """
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # it holds something
            if time.time() - Path(place).stat().st_mtime > JUST_SECONDS:
                Path(place).rmdir()
