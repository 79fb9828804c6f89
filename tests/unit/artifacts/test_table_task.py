"""Steps: what is ended when it takes too long, and what is tried again."""

import time

import pytest
from prefect import flow
from prefect.client.schemas import State, TaskRun
from prefect.context import TaskRunContext
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel

import tasks.artifacts.plain_task
from schemas.errors import ContractError, TaskTimeoutError, TrackingError
from tasks.artifacts.plain_task import finished, plain_task

pytestmark = pytest.mark.usefixtures("prefect_server")


def ending(tries: list[int], errors: list[Exception]) -> State[str]:
    """Fail with each of the errors in turn, then end well."""
    tries.append(1)
    if len(tries) <= len(errors):
        raise errors[len(tries) - 1]
    return finished("well", was_there=False, message="it ended well")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.artifacts.plain_task, "RETRY_SECONDS", [0.1, 0.1])


def test_what_takes_too_long_is_ended_and_says_so() -> None:
    awake: list[bool] = []

    @plain_task(hours=1 / 3600)
    def sleeps() -> State[str]:
        for _ in range(3000):  # where it is not in the main thread, it is ended between two lines
            time.sleep(0.01)
        awake.append(True)
        return finished("awake", was_there=False, message="")

    with pytest.raises(
        TaskTimeoutError, match=r"sleeps took longer than .+ h and was ended.+run again"
    ):
        flow(sleeps)()
    assert not awake


def test_a_submitted_one_is_ended_too_and_the_others_go_on() -> None:
    @plain_task(hours=1 / 3600)
    def waits() -> str:
        while True:  # in a thread, a task is ended between two lines
            time.sleep(0.01)

    @plain_task()
    def works() -> str:
        return "done"

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def both() -> tuple[BaseException, str]:
        one, other = waits.submit(), works.submit()
        one.wait()
        return one.state.result(raise_on_failure=False), other.result()

    error, done = both()
    assert isinstance(error, TaskTimeoutError)
    assert "waits took longer than" in str(error)
    assert done == "done"


@pytest.mark.usefixtures("soon")
def test_an_unreachable_server_is_asked_again() -> None:
    tries: list[int] = []

    @plain_task(retry_on=TrackingError)
    def tracks() -> State[str]:
        return ending(tries, [TrackingError("away"), TrackingError("still away")])

    assert flow(tracks)() == "well"
    assert len(tries) == 3


@pytest.mark.usefixtures("soon")
def test_it_is_not_asked_for_ever() -> None:
    tries: list[int] = []

    @plain_task(retry_on=TrackingError)
    def tracks() -> State[str]:
        return ending(tries, [TrackingError("away")] * 9)

    with pytest.raises(TrackingError, match="away"):
        flow(tracks)()
    assert len(tries) == 3


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("retry_on", [None, TrackingError])
def test_bad_data_stays_bad(retry_on: type[TrackingError] | None) -> None:
    tries: list[int] = []

    @plain_task(retry_on=retry_on)
    def reads() -> State[str]:
        return ending(tries, [ContractError("a row breaks its contract")])

    with pytest.raises(ContractError):
        flow(reads)()
    assert len(tries) == 1


class Leaf(BaseModel):
    name: str


def test_the_graph_shows_arguments_and_what_is_named_and_no_part_of_an_argument() -> None:
    def ran() -> TaskRun:
        context = TaskRunContext.get()
        assert context
        return context.task_run

    def made(leaf: Leaf) -> Leaf:
        named[leaf.name] = str(ran().id)
        return leaf

    named: dict[str, str] = {}
    maker = plain_task()(made)

    @plain_task()
    def shows(given: Leaf, holder: dict[str, Leaf]) -> tuple[dict[str, set[str]], list[str]]:
        inputs = {key: {str(one.id) for one in its} for key, its in ran().task_inputs.items()}
        return inputs, [given.name, holder["part"].name]

    @flow
    def whole() -> tuple[dict[str, set[str]], list[str]]:
        given, part, before = (maker(Leaf(name=name)) for name in ("given", "part", "before"))
        return shows.after(before)(given, {"part": part})

    inputs, seen = whole()
    assert seen == ["given", "part"]
    assert inputs["given"] == {named["given"]}
    assert inputs["wait_for"] == {named["before"]}
    assert not inputs["holder"]
