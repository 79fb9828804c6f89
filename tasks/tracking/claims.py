"""Who is at a run in MLflow: seen by every machine, so that equal work is logged once.

Processes on one root take turns by a lock of their machine (``Store.turn``). Others see only
MLflow, which has no locks: there, a run says which process is at it, and equal runs are told apart
as in Lamport's bakery: each writes its claim first and reads the others' then.
"""

from __future__ import annotations

import logging
import socket
import time

from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.artifacts.holder import has_gone, holder
from tasks.tracking.names import CLAIM

logger = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"
"""MLflow's own tag of a nested run."""

LONGEST_SECONDS = 3600.0
"""What is tracked for longer has been ended: the limit of time of its task."""

LOOK_SECONDS = 2.0
"""Between two looks at whether another process is still at a run."""


class Outrun(Exception):  # noqa: N818  # no error: what was to be logged is there, or will be
    """Another process has come first."""


def claim() -> str:
    """Name this process, in a tag of the run that it is at."""
    return holder()


def is_held(run: Run) -> bool:
    """Whether another process is at a run still; if on another machine, its age says so."""
    held_by = str(run.data.tags.get(CLAIM, ""))
    if run.info.status != "RUNNING" or held_by in {"", claim()}:  # this one's failed before
        return False
    if held_by.rsplit(" ", 2)[0] != socket.gethostname():
        return time.time() - int(run.info.start_time) / 1000 < LONGEST_SECONDS
    return not has_gone(held_by)


def runs_left(client: MlflowClient, experiment: str, tag: tuple[str, str]) -> list[Run]:
    """Return all runs with a tag, nested ones too, once no other process is at one of them."""
    while True:
        runs = _runs(client, experiment, tag)
        if not any(is_held(run) for run in runs):
            return runs
        logger.info("another process is logging the same: waiting for it")
        time.sleep(LOOK_SECONDS)


def come_first(client: MlflowClient, experiment: str, tag: tuple[str, str], own: str) -> None:
    """Go on if no other process is at a run with this tag; else raise Outrun.

    To be called when one's own run is there, with its claim. Of two that see each other, the one
    with the greater id gives way, and the other waits until it has. One that saw nobody is logging
    already: it is waited for, and has come first.
    """
    while True:
        others = [run for run in _runs(client, experiment, tag) if run.info.run_id != own]
        held = [run.info.run_id for run in others if is_held(run)]
        if any(run.info.status == "FINISHED" for run in others) or min([own, *held]) != own:
            raise Outrun
        if not held:
            return
        time.sleep(LOOK_SECONDS)


def _runs(client: MlflowClient, experiment: str, tag: tuple[str, str]) -> list[Run]:
    name, value = tag
    return list(client.search_runs([experiment], f"tags.`{name}` = '{value}'"))
