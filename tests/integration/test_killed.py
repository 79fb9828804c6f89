"""A run killed at any moment, and run again, ends with the same figures and lists."""

import hashlib
import json
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tasks.demo_world import write_demo_world
from tests.integration import forked


def start(world: Path, root: Path, server: str) -> BaseProcess:
    command = ["nightly", "--source", str(world), "--root", str(root)]
    command += ["--models", "random,popularity,als,hybrid", "--summary", str(root / "summary.json")]
    return forked.start(*command, server=server, said=root.parent / f"{root.name}.said")


def finish(root: Path) -> dict[str, object]:
    summary = json.loads((root / "summary.json").read_text())
    lists = hashlib.sha256(Path(summary["top_n"]).read_bytes()).hexdigest()
    figures = {name: model["metrics"] for name, model in summary["models"].items()}
    return {"figures": figures, "lists": lists, "rows": summary["rows"]}


@pytest.mark.timeout(900)
def test_a_night_killed_at_any_stage_ends_as_one_that_was_not(
    prefect_server: str, tmp_path: Path
) -> None:
    world = tmp_path / "world"
    world.mkdir()
    write_demo_world(world, scale=0.05, seed=6)
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    for stage in (
        "ingest/interactions",
        "features/user_item",
        "models/als",
        "models/hybrid",
        "mlflow-artifacts",
    ):
        run = start(world, tmp_path / "killed", prefect_server)
        deadline = time.monotonic() + 200
        while not any((tmp_path / "killed" / stage).glob("*")) and time.monotonic() < deadline:
            assert run.is_alive(), "the run ended before it could be killed"
            time.sleep(0.02)
        assert run.pid is not None
        os.killpg(run.pid, signal.SIGKILL)
        run.join()
    for name in ("killed", "whole"):
        run = start(world, tmp_path / name, prefect_server)
        run.join(timeout=300)
        assert run.exitcode == 0, (tmp_path / f"{name}.said").read_text()
    assert finish(tmp_path / "killed") == finish(tmp_path / "whole")
    assert not [p for p in (tmp_path / "killed" / ".staging").iterdir() if p.is_dir()]
