"""Which task a thread takes next: the first that has all it needs."""

import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.futures import PrefectConcurrentFuture
from prefect.states import State

from flows.runners.thread_pool import ReadyFirst, ThreadPool

SOON = 30


@pytest.fixture
def one_thread() -> Iterator[ReadyFirst]:
    pool = ReadyFirst(ThreadPoolExecutor(1))
    yield pool
    pool.shutdown(cancel_futures=True)


class Upstream:
    """A task elsewhere that has not ended yet."""

    def __init__(self) -> None:
        self.ends = Future[State[Any]]()
        self.future = PrefectConcurrentFuture(uuid4(), self.ends)


def test_a_thread_does_not_wait_while_another_task_could_run(one_thread: ReadyFirst) -> None:
    upstream = Upstream()
    waiting = one_thread.submit(lambda **_: "later", parameters={"a": [{"b": (upstream.future,)}]})
    assert one_thread.submit(lambda **_: "now", parameters={}).result(SOON) == "now"
    assert not waiting.done()
    upstream.ends.set_result(None)
    assert waiting.result(SOON) == "later"


def test_of_those_that_are_ready_the_first_submitted_is_next(one_thread: ReadyFirst) -> None:
    gate, taken, upstream = Event(), list[str](), (Upstream(), Upstream())
    held = one_thread.submit(gate.wait, SOON)
    awaited = [each.future for each in upstream]
    first = one_thread.submit(lambda **_: taken.append("first"), wait_for=awaited)
    second = one_thread.submit(lambda **_: taken.append("second"), parameters={"a": 1})
    for each in reversed(upstream):
        each.ends.set_result(None)
    gate.set()
    for each in (held, first, second):
        each.result(SOON)
    assert taken == ["first", "second"]


def test_who_waits_for_a_task_is_told_of_its_error(one_thread: ReadyFirst) -> None:
    with pytest.raises(ZeroDivisionError):
        one_thread.submit(lambda: 1 // 0).result(SOON)
    assert one_thread.submit(lambda: 1).result(SOON) == 1


def test_what_has_not_begun_when_it_ends_never_does(caplog: pytest.LogCaptureFixture) -> None:
    pool, upstream, gate = ReadyFirst(ThreadPoolExecutor(1)), Upstream(), Event()
    begun, running = Event(), list[str]()
    busy = pool.submit(lambda: (begun.set(), gate.wait(SOON)))
    begun.wait(SOON)
    waiting = pool.submit(lambda **_: running.append("waiting"), parameters=[upstream.future])
    queued = pool.submit(lambda: running.append("queued"))
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    busy.result(SOON)
    with caplog.at_level(logging.ERROR):
        upstream.ends.set_result(None)
    for each in (waiting, queued):
        with pytest.raises(CancelledError):
            each.result(SOON)
    assert (running, caplog.records) == ([], [])


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.filterwarnings("default")  # Prefect and what it imports warn
def test_prefects_tasks_are_run_so_and_fail_as_ever() -> None:
    order = list[str]()

    @task
    def slow(gate: Event) -> str:
        gate.wait(SOON)
        order.append("slow")
        return "made"

    @task
    def fails() -> str:
        raise ValueError("as it should")

    @task
    def after(name: str, *_: Any) -> str:
        order.append(name)
        return name

    @flow(task_runner=ThreadPool(max_workers=2))
    def graph() -> tuple[State[Any], State[Any]]:
        gate = Event()
        first = slow.submit(gate)
        needs_it = after.submit("needs it", first)
        needs_what_fails = after.submit("never", fails.submit())
        after.submit("needs nothing").wait()
        gate.set()
        needs_it.wait()
        needs_what_fails.wait()
        return needs_it.state, needs_what_fails.state

    whole, failed = graph()
    assert order == ["needs nothing", "slow", "needs it"]
    assert whole.is_completed()
    assert failed.name == "NotReady"
