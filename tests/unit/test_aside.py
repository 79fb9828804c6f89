"""Work beside other work: at the same time, in the same flow run, and it says what failed."""

import ast
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from prefect import flow
from prefect.client.schemas import State
from prefect.context import TaskRunContext

from flows.aside import aside, without_collection
from schemas.errors import ContractError, StepError
from tasks.artifacts.table_task import settled, step

WAIT = 30


def fail() -> None:
    raise ContractError("a row breaks its contract")


def test_both_are_at_work_at_the_same_time() -> None:
    here, there = Event(), Event()

    def work() -> bool:
        there.set()
        return here.wait(WAIT)

    with aside() as submit:
        other = submit(work)
        here.set()
        assert there.wait(WAIT)
    assert other.result() is True


def test_it_is_done_in_turn_and_the_end_of_the_block_waits() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        time.sleep(0.05 / number)  # a later one would be done sooner
        done.append(number)

    with aside() as submit:
        for number in (1, 2, 3):
            submit(work, number)
    assert done == [1, 2, 3]


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    with aside() as submit:
        other = submit(fail)
    with pytest.raises(ContractError, match="a row breaks"):
        other.result()


def test_if_the_block_fails_what_has_not_begun_is_left_undone() -> None:
    begun, ended, late = Event(), Event(), Event()

    def work() -> bool:
        begun.set()
        return ended.wait(WAIT)

    futures = []

    def block() -> None:
        with aside() as submit:
            futures.extend([submit(work), submit(late.set)])
            futures[-1].add_done_callback(lambda _: ended.set())
            assert begun.wait(WAIT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    first, second = futures
    assert first.result() is True
    assert second.cancelled()
    assert not late.is_set()


@pytest.fixture
def giving_way() -> Iterator[None]:
    """Collect garbage often, and let another thread in each time, as a finalizer may."""
    before = gc.get_threshold()

    def give_way(_phase: str, _info: dict[str, int]) -> None:
        time.sleep(0)

    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(give_way)


@pytest.mark.usefixtures("giving_way")
def test_python_is_parsed_on_both_sides_at_the_same_time() -> None:
    """CPython before 3.11.8 fails at that when it collects garbage (its issue 106905)."""
    code = Path(__file__).read_text(encoding="utf-8")

    def parse() -> set[str]:
        return {ast.dump(ast.parse(code)) for _ in range(20)}

    with aside() as submit:
        other = submit(parse)
        here = parse()
    assert here == other.result()
    assert len(here) == 1


def test_garbage_is_collected_again_after_the_block_also_if_it_failed() -> None:
    with aside():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ContractError), aside():
        fail()
    assert gc.isenabled()


def test_of_overlapping_blocks_the_last_lets_collection_go_on() -> None:
    first, second = without_collection(), without_collection()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


@pytest.mark.usefixtures("prefect_server")
def test_its_tasks_belong_to_the_flow_run_and_have_their_time_limits() -> None:
    @step("tells")
    def tells() -> State[str]:
        run = TaskRunContext.get()
        return settled(str(run and run.task_run.flow_run_id), was_there=False, message="")

    @step("sleeps", hours=1 / 3600)
    def sleeps() -> State[str]:
        for _ in range(WAIT * 10):
            time.sleep(0.1)
        return settled("awake", was_there=False, message="")

    @flow
    def both() -> tuple[str, str]:
        with aside() as submit:
            there, late = submit(tells), submit(sleeps)
            here = tells()
        with pytest.raises(StepError, match="sleeps took longer"):
            late.result()
        return here, there.result()

    here, there = both()
    assert here == there != "None"
