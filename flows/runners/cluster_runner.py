"""Tasks on the workers of a cluster: placed by what they want, and given up if they kill workers.

A cluster's own library runs them; here is said what prefect-dask and prefect-ray leave open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeAlias

from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.exceptions import PrefectHTTPStatusError
from prefect.futures import PrefectFuture, PrefectTaskRunFuture, PrefectWrappedFuture
from prefect.states import Crashed, Pending
from prefect.task_runners import TaskRunner
from prefect.utilities.collections import visit_collection

from schemas.errors import WorkerLostError
from tasks.artifacts.needs import Needs
from tasks.artifacts.table_task import needs_of

TRIES = 3
"""Workers that a task may take with it before it is given up."""

Fetch: TypeAlias = Callable[[Any, float | None], Any]
"""``f(future, timeout)`` waits for a future of the cluster: its value, TimeoutError, or its end."""


class ClusterFuture(PrefectTaskRunFuture[Any]):
    """A task on a cluster. If its workers ended, that is its state, here and on Prefect's page."""

    def __init__(
        self,
        inner: PrefectWrappedFuture[Any, Any],
        name: str,
        fetch: Fetch,
        upstream: Iterable[ClusterFuture],
    ) -> None:
        """Follow ``inner``, which waits for the results of ``upstream``."""
        super().__init__(inner.task_run_id)
        self.inner = inner
        self._name = name
        self._fetch = fetch
        self._upstream = list(upstream)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended, or so many seconds."""
        with suppress(TimeoutError):
            self._settle(timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:  # noqa: FBT001, FBT002  # as Prefect has it
        """Wait for what it returns; raises what it failed with, a WorkerLostError among others."""
        return self._settle(timeout).result(raise_on_failure=raise_on_failure, _sync=True)  # type: ignore[call-overload]

    def add_done_callback(self, fn: Callable[[PrefectFuture[Any]], None]) -> None:
        """Call a function when it has ended."""
        self.inner.add_done_callback(lambda _: fn(self))

    def _settle(self, timeout: float | None) -> State[Any]:
        if self._final_state is None:
            try:
                self._final_state = self._fetch(self.inner.wrapped_future, timeout)
            except TimeoutError:
                raise
            except Exception as error:  # noqa: BLE001  # what ran it has ended, in whatever way
                self._final_state = self._lost(error)
        return self._final_state

    def _lost(self, error: Exception) -> State[Any]:
        """Return the state of a task that was not run to its end."""
        for needed in self._upstream:
            needed.wait()
            if not needed.state.is_completed():  # this one never began
                return Pending(name="NotReady", message=f"{needed._name} was lost")
        lost = WorkerLostError(
            f"{self._name} was given up, as the workers that ran it ended"
            f" ({type(error).__name__}). Mostly memory is short: give each worker more, or play a"
            " smaller world. What was finished is kept: run again to go on"
        )
        with get_client(sync_client=True) as client, suppress(PrefectHTTPStatusError):
            # The server may never have heard of it: then there is no page to be put right
            client.set_task_run_state(self.task_run_id, Crashed(message=str(lost)), force=True)
        return Crashed(message=str(lost), data=lost)


class ClusterRunner(TaskRunner[PrefectFuture[Any]]):
    """Submits tasks to a cluster's runner, each with what it wants of its worker."""

    def __init__(
        self,
        inner: TaskRunner[Any],
        fetch: Fetch,
        asking: Callable[[Needs], AbstractContextManager[Any]],
    ) -> None:
        """Submit to ``inner``, which is started, inside what ``asking`` returns."""
        super().__init__()  # type: ignore[no-untyped-call]  # of Prefect's
        self._inner = inner
        self._fetch = fetch
        self._asking = asking

    def duplicate(self) -> ClusterRunner:
        """Return itself: its cluster is one."""
        return self

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> PrefectFuture[Any]:
        """Submit a task, and follow it."""
        upstream: dict[int, ClusterFuture] = {}

        def inner_of(value: Any) -> Any:
            if isinstance(value, ClusterFuture):
                upstream[id(value)] = value
                return value.inner
            return value

        given, first = visit_collection((parameters, wait_for), inner_of, return_data=True)
        with self._asking(needs_of(task, parameters)):
            inner = self._inner.submit(task, given, first, dependencies)
        return ClusterFuture(inner, task.name, self._fetch, upstream.values())
