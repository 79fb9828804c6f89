"""Links into MLflow and commands: they open the models, and run in a shell that knows nothing."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tasks.tracking.links import mlflow_command, models_page, run_page, way_to_serve, ways_to


def test_the_page_is_that_of_models_best_first() -> None:
    before, _, query = models_page("7", "abc").partition("?")
    assert before == "#/experiments/7/runs"
    assert parse_qs(query) == {
        "workflowType": ["machine_learning"],
        "searchFilter": ["tags.`mlflow.parentRunId` = 'abc'"],
        "orderByKey": ["metrics.`ndcg_at_10`"],
        "orderByAsc": ["false"],
        "compareRunsMode": ["CHART"],
    }
    assert run_page("7", "abc") == "#/experiments/7/runs/abc?workflowType=machine_learning"


def test_a_server_needs_no_command() -> None:
    assert ways_to("#/x", "http://me:secret@mlflow:5000/") == {"open": "http://mlflow:5000/#/x"}


def in_a_shell(command: str, **environment: str) -> str:
    """Run a command as printed, in a shell without this environment's programs."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("folder", ["plain", "50 % off? $(id) 'old'"])
def test_commands_reach_mlflow_with_the_address_as_it_is(
    active: bool, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that says how it was called stands for MLflow's own, which takes a minute."""
    own = tmp_path / "the environment"
    own.mkdir()
    (own / "mlflow").write_text(
        f"#!{sys.executable}\nimport os, sys\nprint(sys.argv[1:], {SHOWN})\n"
    )
    (own / "mlflow").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", str(own) if active else os.defpath)
    path = {"PATH": f"{own}:{os.defpath}"} if active else {}
    address = f"sqlite:////{folder}/mlflow.db"

    compare = ways_to("#/x", address)["compare"]
    assert compare.startswith("mlflow ") == active
    assert in_a_shell(compare, **path) == f"{['server', '--backend-store-uri', address]} None\n"
    serve = in_a_shell(way_to_serve("grail", address), **path)
    words = ["models", "serve", "-m", "models:/grail@champion", "--env-manager", "local"]
    assert serve == f"{words} {address}\n"


SHOWN = "os.environ.get('MLFLOW_TRACKING_URI')"


def test_a_password_stays_in_the_environment_it_came_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    address = "postgresql://me:secret@db/mlflow"
    compare = ways_to("#/x", address)["compare"]
    assert compare == 'mlflow server --backend-store-uri "$MLFLOW_TRACKING_URI"'
    assert mlflow_command("experiments search", address) == "mlflow experiments search"
