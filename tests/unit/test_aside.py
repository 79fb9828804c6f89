"""Work beside other work: it runs at the same time, in the same flow run, and says what failed."""

import time
from threading import Event

import pytest
from prefect import flow
from prefect.client.schemas import State
from prefect.context import TaskRunContext

from flows.aside import aside
from schemas.errors import ContractError, StepError
from tasks.steps import settled, step

WAIT = 30


def test_both_are_at_work_at_the_same_time() -> None:
    here, there = Event(), Event()

    def work() -> bool:
        there.set()
        return here.wait(WAIT)

    with aside(work) as other:
        here.set()
        assert there.wait(WAIT)
    assert other.result() is True


def test_the_end_of_the_block_waits() -> None:
    done = []
    with aside(lambda: (time.sleep(0.2), done.append(1))):
        assert not done
    assert done


def test_an_error_is_raised_where_its_result_is_asked_for() -> None:
    def work() -> None:
        raise ContractError("a row breaks its contract")

    with aside(work) as other:
        pass
    with pytest.raises(ContractError, match="a row breaks"):
        other.result()


def test_an_error_of_the_block_is_not_lost_behind_the_other() -> None:
    def work() -> None:
        raise ContractError("a row breaks its contract")

    with pytest.raises(ZeroDivisionError), aside(work):
        _ = 1 / 0


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
        with aside(tells) as other:
            here = tells()
        with pytest.raises(StepError, match="sleeps took longer"), aside(sleeps) as late:
            late.result()
        return here, other.result()

    here, there = both()
    assert here == there != "None"
