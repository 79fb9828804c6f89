"""Task runners by the name that ``--runner`` has for them."""

from collections.abc import Callable, Iterable
from typing import Any, Self

from prefect import Task
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

RUNNERS: dict[str, Callable[[], TaskRunner[Any]]] = {
    # as many at a time as PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS says: see flows.environment
    "threads": ThreadPoolTaskRunner,
    "processes": ProcessPoolTaskRunner,
}


class RunnerOfSetting(TaskRunner[PrefectFuture[Any]]):
    """Runs a flow's tasks with the runner that its parameter ``runner`` names.

    A flow's runner is fixed before its parameters are known, so this one makes the other when the
    first task is submitted.
    """

    def __init__(self) -> None:
        """Make nothing yet."""
        super().__init__()  # type: ignore[no-untyped-call]  # of Prefect's
        self._named: TaskRunner[Any] | None = None

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
        """Submit a task to the runner named, which is made if this is the first."""
        if self._named is None:
            context = FlowRunContext.get()
            given = (context and context.parameters) or {}
            self._named = RUNNERS[given.get("runner", "threads")]().__enter__()
        future: PrefectFuture[Any] = self._named.submit(task, parameters, wait_for, dependencies)
        return future

    def __exit__(self, *error: Any) -> None:
        """Wait for what runs, and end the runner named."""
        if self._named is not None:
            self._named.__exit__(*error)
        super().__exit__(*error)
