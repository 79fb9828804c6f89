"""The shipped prefect.yaml on a real server with a real worker: deploy, schedule, run, fail."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    arguments: list[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [*PREFECT, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # The worker turns TERM into INT, which a background process may have inherited ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start a server, deploy, and start a worker; give the environment to talk to them in."""
    home = tmp_path_factory.mktemp("prefect")
    port = str(free_port())
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    server = start(
        ["server", "start", "--host", "127.0.0.1", "--port", port], environment, home / "server.log"
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/health")
        command(["work-pool", "create", "grail", "--type", "process"], environment)
        command(["deploy", "--all"], environment)
        worker = start(["worker", "start", "--pool", "grail"], environment, home / "worker.log")
        try:
            yield environment
        finally:
            stop(worker)
    finally:
        stop(server)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise TimeoutError(url)


def command(
    arguments: list[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*PREFECT, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    if "run" not in arguments:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_run_of_the_deployment_ends_completed(served: dict[str, str], tmp_path: Path) -> None:
    settings = ["scale=0.05", 'models=["random","popularity"]', f"root={tmp_path / 'root'}"]
    settings.append(f"summary={tmp_path / 'summary.json'}")
    parameters = [part for setting in settings for part in ("--param", setting)]
    done = command(["deployment", "run", "nightly/nightly", *parameters, "--watch"], served)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "summary.json").exists()


def test_a_wrong_parameter_fails_the_run(served: dict[str, str], tmp_path: Path) -> None:
    settings = ["models=nobody", f"root={tmp_path / 'root'}"]
    parameters = [part for setting in settings for part in ("--param", setting)]
    done = command(["deployment", "run", "nightly/nightly", *parameters, "--watch"], served)
    assert done.returncode != 0
    assert not (tmp_path / "root").exists()


def test_the_nights_to_come_are_scheduled(served: dict[str, str]) -> None:
    """A server that silently never schedules (SQLAlchemy 2.1) has been seen."""
    query = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    deadline = time.monotonic() + 120
    runs: list[dict[str, str]] = []
    while not runs and time.monotonic() < deadline:
        runs = httpx.post(f"{served['PREFECT_API_URL']}/flow_runs/filter", json=query).json()
        time.sleep(1)
    # 03:30 in Shanghai is 19:30 UTC the day before
    assert {run["expected_start_time"][11:16] for run in runs} == {"19:30"}
