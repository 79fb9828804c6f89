"""A Dask worker that dies of what it is given, with no clock in it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import distributed


class DiesOfNewTasks(distributed.WorkerPlugin):
    """Kills its worker's process as it begins a task that the cluster did not know before.

    A worker that takes its place has it, too. Each death is a line in ``deaths``.
    """

    name = "dies-of-new-tasks"

    def __init__(self, known: set[str], deaths: Path) -> None:
        """Spare the tasks of these keys: one that was lost with a worker is run again."""
        self._known = known
        self._deaths = deaths

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Die, before the task's thread begins."""
        if finish == "executing" and key not in self._known:
            with self._deaths.open("a") as file:
                file.write(f"{key}\n")
            os.kill(os.getpid(), signal.SIGKILL)


def known_keys(dask_scheduler: distributed.Scheduler) -> set[str]:
    """Return the keys of all tasks of a cluster; for ``Client.run_on_scheduler``."""
    return {str(key) for key in dask_scheduler.tasks}
