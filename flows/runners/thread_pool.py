"""Threads that do not wait for each other's tasks while another task could be run.

A thread of Prefect's own pool takes the first task that was submitted, and waits in it until the
tasks before it have ended. One core is idle then, whatever else there is to do.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from threading import Lock
from typing import Any, Self, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner


class ThreadPool(ThreadPoolTaskRunner[Any]):
    """Prefect's own, but for which task is next."""

    def __enter__(self) -> Self:
        """Start the threads."""
        super().__enter__()
        if self._executor is not None:
            # Prefect makes the executor, and has no other place between a task and its thread
            self._executor = cast("ThreadPoolExecutor", ReadyFirst(self._executor))
        return self


class ReadyFirst(Executor):
    """Runs the first task, in the order of submission, whose parameters are all there."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        """Run them in ``threads``."""
        self._threads = threads
        self._lock = Lock()
        self._numbers = count()
        self._tasks: dict[int, tuple[Callable[[], Any], Future[Any]]] = {}
        self._ready: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a task; the futures in its ``parameters`` and ``wait_for`` are what it waits for."""
        number, outcome = next(self._numbers), Future[Any]()
        self._tasks[number] = partial(fn, *args, **kwargs), outcome
        awaited = futures_in([kwargs.get("parameters"), kwargs.get("wait_for")])
        self._run_after(list(awaited), number)
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  # as Executor's
        """Take no more; with ``cancel_futures`` what has not begun never does."""
        if cancel_futures:
            for _, outcome in list(self._tasks.values()):
                outcome.cancel()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def _run_after(self, awaited: list[PrefectFuture[Any]], number: int) -> None:
        """Put a task among the ready ones when the last that it waits for has ended."""
        if awaited:
            first, *others = awaited
            first.add_done_callback(lambda _: self._run_after(others, number))
            return
        with self._lock:
            heapq.heappush(self._ready, number)
        try:
            self._threads.submit(self._run_first)
        except RuntimeError:  # they have been shut down
            _, outcome = self._tasks.pop(number)
            outcome.cancel()

    def _run_first(self) -> None:
        with self._lock:
            call, outcome = self._tasks.pop(heapq.heappop(self._ready))
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  # as ThreadPoolExecutor does: who waits is told
            outcome.set_exception(error)
        else:
            outcome.set_result(result)


def futures_in(value: Any) -> Iterator[PrefectFuture[Any]]:
    """Yield the futures in a value, as deep as plain collections go."""
    if isinstance(value, PrefectFuture):
        yield value
    elif isinstance(value, Mapping):
        yield from futures_in(list(value.values()))
    elif isinstance(value, list | tuple | set):
        for one in cast("Iterable[Any]", value):
            yield from futures_in(one)
