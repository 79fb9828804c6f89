"""A Prefect server that somebody else runs: prefect.yaml, deploy/ and Prefect's own commands.

The nights here are of worlds so small that only the way they take matters.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow

from flows.dev_stack.prefect_api import Client
from flows.nightly import nightly
from tests.integration.up_process import PROJECT, SMALL, command_of, eventually

pytestmark = pytest.mark.filterwarnings("default")  # Prefect, MLflow and what they import warn
POOL = "others"
GIB = 2**30


@dataclass(frozen=True)
class House:
    """Their server, our deployments on it, and what was printed when they were made."""

    api: str
    root: Path
    said: str

    def request(self, method: str, path: str, body: Any = None) -> Any:
        with Client(self.api) as client:
            answer = client.request(method, f"/{path}", json=body)
        return answer.json() if answer.content else None

    def deployments(self) -> dict[str, Any]:
        ours = {"work_pools": {"name": {"any_": [POOL]}}}
        return {one["name"]: one for one in self.request("POST", "deployments/filter", ours)}

    def run(self, run_id: str) -> Any:
        return self.request("GET", f"flow_runs/{run_id}")


def prefect(api: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """One of Prefect's commands, as a person or a script types it; nobody answers a question."""
    unset = {name: value for name, value in os.environ.items() if name != "PWD"}
    return subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *words],
        cwd=PROJECT,
        env={**unset, "PREFECT_API_URL": api, "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def house(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    root = tmp_path_factory.mktemp("house") / "the root"
    template = ("--type", "process", "--base-job-template", "deploy/process-pool.json")
    made = prefect(prefect_server, "work-pool", "create", POOL, *template)
    assert made.returncode == 0, made.stdout
    deployed = prefect(
        prefect_server,
        *("deploy", "--all"),
        PREFECT_DEFAULT_WORK_POOL_NAME=POOL,
        GRAIL_ROOT=str(root),
        GRAIL_MEMORY_GIB="7",
        GRAIL_SCHEDULED="false",  # no run of a clock's
    )
    assert deployed.returncode == 0, deployed.stdout
    return House(prefect_server, root, deployed.stdout)


def test_deploying_says_nothing_but_what_it_does(house: House) -> None:
    assert "WARNING" not in house.said
    assert "placeholder" not in house.said
    assert house.said.count("successfully created") == 5


def test_what_the_environment_says_counts_and_the_rest_is_as_prefect_yaml_has_it(
    house: House,
) -> None:
    found = house.deployments()
    assert found.keys() == {"nightly", "backfill", "tune", "prune", "recommend"}
    places = {"root": str(house.root), "tracking_uri": None}
    assert found["recommend"]["parameters"] == found["prune"]["parameters"] == places
    step = "prefect.deployments.steps.set_working_directory"
    for name in ("nightly", "backfill", "tune"):
        day = {"as_of": None} if name == "nightly" else {}
        work = {"source": "demo", "runner": "threads"}
        assert found[name]["parameters"] == places | work | day
        assert [schedule["active"] for schedule in found[name]["schedules"]] in ([], [False])
    for one in found.values():
        assert one["pull_steps"] == [{step: {"directory": str(PROJECT)}}]
        assert (one["job_variables"]["memory_gib"], one["job_variables"]["timeout_hours"]) == (
            7,
            12,
        )


def test_a_wrong_variable_is_refused_in_one_line(house: House) -> None:
    done = prefect(house.api, "deploy", "--name", "tune", "--pool", POOL, GRAIL_RUNNER="nobody")
    assert done.returncode == 2
    assert "\nprefect deploy: runner: Input should be 'threads'" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_night_missed_three_times_is_played_once_the_last_time(house: House) -> None:
    deployment = house.deployments()["nightly"]
    path = f"deployments/{deployment['id']}"
    (schedule,) = deployment["schedules"]
    house.request("PATCH", f"{path}/schedules/{schedule['id']}", {"active": True})
    now = datetime.now(UTC)
    since = {"start_time": str(now - timedelta(days=3)), "end_time": str(now), "min_runs": 3}
    house.request("PATCH", path, {"parameters": {**deployment["parameters"], **SMALL}})
    house.request("POST", f"{path}/schedule", {**since, "max_runs": 3})
    house.request("PATCH", f"{path}/schedules/{schedule['id']}", {"active": False})
    missed = house.request(
        "POST", "flow_runs/filter", {"deployments": {"id": {"any_": [deployment["id"]]}}}
    )
    missed.sort(key=lambda run: run["expected_start_time"])
    assert len(missed) == 3
    last, first, middle = missed[-1], missed[0], missed[1]
    for run in (first, last, middle):  # in no order: a worker may take them in any
        play(house, run["id"])
    ended = [house.run(run["id"])["state"] for run in missed]
    assert [state["name"] for state in ended] == ["Skipped", "Skipped", "Completed"]
    assert f"that of {last['expected_start_time'][:10]}" in ended[0]["message"]
    assert len(list((house.root / "serving" / "top_n").glob("*/data.parquet"))) == 1
    house.request("POST", f"flow_runs/{first['id']}/set_state", {"state": {"type": "SCHEDULED"}})
    play(house, first["id"])  # begun again by a person, it is played
    assert house.run(first["id"])["state"]["name"] == "Completed"


def play(house: House, run_id: str) -> None:
    """Do what a worker's process does."""
    house.request("POST", f"flow_runs/{run_id}/set_state", {"state": {"type": "PENDING"}})
    run = FlowRun.model_validate(house.run(run_id))
    run_flow(nightly, flow_run=run, parameters=run.parameters, return_type="state")


@pytest.fixture
def worker(house: House, tmp_path: Path) -> Iterator[psutil.Process]:
    """A worker, started in a folder that has nothing to do with this checkout."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    python = str(Path(sys.executable).parent)  # the pool's command takes python from there
    path = {
        "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PREFECT_API_URL": house.api, **path}
    )
    one = psutil.Process(process.pid)
    try:
        yield one
    finally:
        end_at_once(one)
        process.wait()


def end_at_once(process: psutil.Process) -> None:
    """End it with all that it started, as a machine does that loses its power."""
    if process.is_running():
        tree = [process, *process.children(recursive=True)]
        for one in tree:
            one.send_signal(signal.SIGKILL)


def test_a_night_whose_machine_is_gone_is_crashed_by_prefect_itself(
    house: House, worker: psutil.Process, tmp_path: Path
) -> None:
    written = yaml.safe_load((PROJECT / "deploy" / "killed-runs.yaml").read_text())
    written["automations"][0]["trigger"]["within"] = 10  # seconds, of 180
    (tmp_path / "killed.yaml").write_text(yaml.safe_dump(written))
    made = prefect(house.api, "automation", "create", "--from-file", str(tmp_path / "killed.yaml"))
    assert made.returncode == 0, made.stdout

    path = f"deployments/{house.deployments()['nightly']['id']}/create_flow_run"
    run = house.request("POST", path, {"parameters": {"scale": 0.3}})["id"]
    beats = {"event": {"name": ["prefect.flow-run.heartbeat"]}}
    beats |= {"resource": {"id": [f"prefect.flow-run.{run}"]}}
    eventually(lambda: house.request("POST", "events/filter", {"filter": beats})["events"])
    engines = [p for p in worker.children(recursive=True) if "prefect.engine" in command_of(p)]
    night = psutil.Process(engines[-1].pid)
    assert night.rlimit(psutil.RLIMIT_DATA)[0] == 7 * GIB  # type: ignore[attr-defined]
    assert {"timeout", "12h"} < {*command_of(psutil.Process(night.ppid()))}
    end_at_once(worker)
    eventually(lambda: house.run(run)["state_type"] == "CRASHED")
    assert "It has been silent" in house.run(run)["state"]["message"]
