"""An ordinary night on the screen: nothing to worry about, nothing said twice, and said again."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.up_process import eventually, free_port

PROJECT = Path(__file__).parents[2]
NIGHT = ("--scale", "0.02", "--models", "random,popularity,als,hybrid")


def play(root: Path, prefect: str) -> str:
    """Run a night as a person does, and return all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", "nightly", *NIGHT, "--root", str(root)],
        cwd=PROJECT,
        env={**os.environ, "PREFECT_API_URL": prefect},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.timeout(1100)
def test_a_night_and_its_second_run_say_what_is_and_no_more(
    prefect_server: str, tmp_path: Path
) -> None:
    root = tmp_path / "the root"
    first, second = play(root, prefect_server), play(root, prefect_server)
    for said in (first, second):
        assert not re.findall(r".*(?:warn|error|critical|traceback).*", said, re.IGNORECASE)
        lines = Counter(re.findall(r"Task run '([^']+)' - ", said))
        assert len(lines) > 20
        twice = {name for name, n in lines.items() if n > 1}
        assert twice <= {"friendships"}  # a task for each of the two days, of the same table
    assert " is kept out:\n" in first
    assert " stays out:\n" in second
    check_ways(second)


def check_ways(said: str) -> None:
    """What is printed works as printed, in a shell that knows nothing of this environment."""
    (command,) = re.findall(r"^compare: +(.+)$", said, re.MULTILINE)
    (page,) = re.findall(
        r"^open: +http://127.0.0.1:5000/#/experiments/(\d+)/runs\?", said, re.MULTILINE
    )
    port = free_port()
    shell = subprocess.Popen(
        ["/bin/sh", "-c", command],
        env={"PATH": os.defpath, "MLFLOW_PORT": str(port), "MLFLOW_WORKERS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health"))
        experiment = httpx.get(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get?experiment_id={page}"
        ).json()["experiment"]
        assert experiment["name"] == "grail-demo"
    finally:
        tree = [psutil.Process(shell.pid), *psutil.Process(shell.pid).children(recursive=True)]
        for process in tree:
            process.kill()
        shell.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False
