"""Runs that a killed night left running in MLflow are ended by the next, and nobody else's are."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from schemas.paths import sqlite_address
from tasks.tracking.claims import LONGEST_SECONDS, PARENT, claim
from tasks.tracking.names import CLAIM
from tasks.tracking.unfinished_runs import end_unfinished

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn


@pytest.fixture
def living() -> Iterator[str]:
    """The claim of another process, which lives."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = psutil.Process(process.pid).create_time()
        yield f"{socket.gethostname()} {process.pid} {started:.0f}"
        process.kill()


def test_what_no_living_process_is_at_is_ended(tmp_path: Path, living: str) -> None:
    client = MlflowClient(sqlite_address(tmp_path / "mlflow.db"))
    experiment = client.create_experiment("grail", artifact_location=tmp_path.as_uri())
    now = int(time.time() * 1000)

    def run(begun: int = now, **tags: str) -> str:
        made = client.create_run(experiment, start_time=begun, tags=tags)
        return str(made.info.run_id)

    gone = f"{socket.gethostname()} {living.split()[1]} 1"  # its id was given again
    long_ago = now - int(LONGEST_SECONDS * 2000)
    dead, held = run(**{CLAIM: gone}), run(**{CLAIM: living})
    expected = {
        dead: "KILLED",
        run(**{PARENT: dead, "grail.model": "als"}): "KILLED",
        run(**{CLAIM: claim()}): "KILLED",  # this process' own, which it has tried again
        run(long_ago, **{CLAIM: "elsewhere 1 1"}): "KILLED",
        held: "RUNNING",
        run(**{PARENT: held, "grail.model": "als"}): "RUNNING",
        run(**{CLAIM: "elsewhere 1 1"}): "RUNNING",
        run(owner="a person"): "RUNNING",
    }
    assert end_unfinished(client, experiment) == 4
    assert {name: client.get_run(name).info.status for name in expected} == expected
    assert end_unfinished(client, experiment) == 0
