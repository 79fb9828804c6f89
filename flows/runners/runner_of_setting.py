"""The runner that the setting ``runner`` names, started for a flow and ended with it."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, Self, TypeVar

from prefect import Flow, Task
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner

from flows.runners.local_runners import process_pool, thread_pool
from flows.runners.packages import check_runner
from schemas.settings import DataConfig
from tasks.artifacts.table_task import declared

C = TypeVar("C", bound=DataConfig)

Started = tuple[TaskRunner[Any], str | None]
"""A runner that is ready, and the address by which other processes join its cluster."""


def in_cluster(module: str) -> Callable[[DataConfig], AbstractContextManager[Started]]:
    """Return what starts the runner of a module that is imported only if it is asked for."""

    def start(config: DataConfig) -> AbstractContextManager[Started]:
        started: AbstractContextManager[Started] = import_module(module).cluster_runner(config)
        return started

    return start


RUNNERS: dict[str, Callable[[DataConfig], AbstractContextManager[Started]]] = {
    "threads": thread_pool,
    "processes": process_pool,
    "dask": in_cluster("flows.runners.dask_cluster"),
    "ray": in_cluster("flows.runners.ray_cluster"),
}


class RunnerOfSetting(TaskRunner[PrefectFuture[Any]]):
    """Runs a flow's tasks with the runner that ``chosen_runner`` has started.

    A flow's runner is fixed before its parameters are known.
    """

    def __init__(self) -> None:
        """Make nothing yet."""
        super().__init__()  # type: ignore[no-untyped-call]  # of Prefect's
        self.chosen: TaskRunner[Any] | None = None

    def duplicate(self) -> Self:
        """Return one for another run."""
        return type(self)()

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> PrefectFuture[Any]:
        """Submit a task to the runner that was chosen."""
        assert self.chosen is not None, "a flow chooses its runner first"  # noqa: S101
        future: PrefectFuture[Any] = self.chosen.submit(task, parameters, wait_for, dependencies)
        return future


@contextmanager
def chosen_runner(config: C) -> Iterator[C]:
    """Run the tasks of the current flow by the runner of its settings until the block ends.

    Gives the settings with which other processes join the same cluster. RunnerError, before any
    work, if it cannot be had.
    """
    check_runner(config)
    runner = getattr(FlowRunContext.get(), "task_runner", None)
    assert isinstance(runner, RunnerOfSetting), "a flow with this runner chooses"  # noqa: S101
    with RUNNERS[config.runner](config) as (started, address):
        runner.chosen = started
        joined = {"runner_address": address, "runner_workers": None} if address else {}
        yield config.model_copy(update=joined)


def _by_name(flow: Flow[..., Any]) -> str | tuple[Any, ...]:
    """Hand a flow to another process by where it is declared, if a module holds it."""
    module, name = flow.fn.__module__, flow.fn.__name__
    held = getattr(import_module(module), name, None)
    return (declared, (module, name)) if held is flow else flow.__reduce_ex__(2)


# Prefect sends the flow with each of its tasks; else all that its function mentions went with it
copyreg.pickle(Flow, _by_name)
