"""Equal nights at once: logged once, registered once."""

import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

import tasks.tracking.claims
from tasks.tracking.claims import Outrun, claim, come_first, is_held, runs_left
from tasks.tracking.names import CLAIM
from tasks.tracking.night_run import experiment_id, reachable
from tests.integration import forked
from tests.integration.nights import night

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn
TAG = ("grail.night", "one")


def test_equal_nights_at_once_are_logged_and_registered_once(
    prefect_server: str, tmp_path: Path
) -> None:
    """Two on one root, which take turns, and one on another root, which sees MLflow alone."""
    root, other = tmp_path / "root", tmp_path / "other"
    night(root, scale=0.02, seed=5, models=["random", "popularity"])
    shutil.copytree(root, other, ignore=shutil.ignore_patterns("mlflow*"))
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    command = ["nightly", "--scale", "0.02", "--seed", "5", "--models", "random,popularity"]
    command += ["--tracking-uri", address, "--root"]
    said = tmp_path / "said"
    at_once = [
        forked.start(*command, str(where), server=prefect_server, said=said)
        for where in (root, root, other)
    ]
    for process in at_once:
        process.join(timeout=500)
    assert [process.exitcode for process in at_once] == [0, 0, 0], said.read_text()
    client = MlflowClient(address)
    runs = client.search_runs([client.get_experiment_by_name("grail-demo").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.data.tags.get("grail.model", "") for run in runs) == [
        "",
        "popularity",
        "random",
    ]
    assert len(client.search_model_versions("")) == 1


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    with reachable(f"sqlite:///{tmp_path_factory.mktemp('claims') / 'mlflow.db'}") as client:
        yield client


@pytest.fixture
def another() -> Iterator[psutil.Process]:
    """Another process of this machine; it ends with its stdin."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        yield psutil.Process(process.pid)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def two(
    client: MlflowClient, another: psutil.Process, request: pytest.FixtureRequest
) -> tuple[str, str, str]:
    """An experiment with two equal runs, the lesser id first; each is another process's."""
    experiment = client.create_experiment(request.node.name)
    tags = {TAG[0]: TAG[1], CLAIM: claim_of(another)}
    first, second = sorted(client.create_run(experiment, tags=tags).info.run_id for _ in range(2))
    return experiment, first, second


def claim_of(process: psutil.Process) -> str:
    host = claim().split(" ")[0]
    return f"{host} {process.pid} {process.create_time():.0f}"


def when_waited_for(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Do something when a process begins to wait; it looks again as soon as that is done."""
    monkeypatch.setattr(tasks.tracking.claims.time, "sleep", lambda _: then())


def test_one_that_is_logging_is_waited_for(
    client: MlflowClient, two: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, first, second = two
    left = [first, second]
    when_waited_for(monkeypatch, lambda: client.set_terminated(left.pop()))
    runs = runs_left(client, experiment, TAG)
    assert left == []
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_one_that_was_killed_is_not(client: MlflowClient, two: tuple[str, str, str]) -> None:
    experiment, first, second = two
    for run_id, gone in ((first, "1 1"), (second, "999999999 1")):  # another's id, and nobody's
        client.set_tag(run_id, CLAIM, f"{claim().split(' ')[0]} {gone}")
    assert len(runs_left(client, experiment, TAG)) == 2


def test_one_of_another_machine_is_known_by_its_age(
    client: MlflowClient, two: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _ = two
    client.set_tag(first, CLAIM, "elsewhere 1 1")
    assert is_held(client.get_run(first))
    monkeypatch.setattr(tasks.tracking.claims, "LONGEST_SECONDS", 0.0)
    assert not is_held(client.get_run(first))


def test_an_earlier_try_of_the_same_process_is_not_waited_for(
    client: MlflowClient, two: tuple[str, str, str]
) -> None:
    _, first, _ = two
    client.set_tag(first, CLAIM, claim())
    assert not is_held(client.get_run(first))


def test_of_two_that_see_each_other_one_gives_way_and_the_other_waits_for_that(
    client: MlflowClient, two: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, first, second = two
    with pytest.raises(Outrun):
        come_first(client, experiment, TAG, second)
    when_waited_for(monkeypatch, lambda: client.set_terminated(second, "FAILED"))
    come_first(client, experiment, TAG, first)


def test_one_that_saw_nobody_has_come_first(
    client: MlflowClient, two: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, first, second = two
    when_waited_for(monkeypatch, lambda: client.set_terminated(second))
    with pytest.raises(Outrun):
        come_first(client, experiment, TAG, first)


def test_an_experiment_that_another_has_just_made_is_taken(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = experiment_id(client, is_demo=True, artifacts=None)
    before = iter([None])
    look = client.get_experiment_by_name
    monkeypatch.setattr(client, "get_experiment_by_name", lambda name: next(before, look(name)))
    assert experiment_id(client, is_demo=True, artifacts=None) == made


def test_processes_on_one_root_take_turns(tmp_path: Path) -> None:
    from tasks.artifacts.store import Store

    store, order, waits = Store(str(tmp_path)), [], threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waits.set()

    def second() -> None:
        with store.turn("tracking"):
            order.append("second")

    logging.getLogger("tasks.artifacts.locks").addHandler(listener := Listener())
    with store.turn("tracking"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(60)
        order.append("first")
    thread.join()
    logging.getLogger("tasks.artifacts.locks").removeHandler(listener)
    assert order == ["first", "second"]
