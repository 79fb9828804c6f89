"""What `up` started loses a part in the middle of a night; the next one goes on.

The nights here are of worlds so small that only the way they take matters.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.reporting.summary import Summary
from tasks.tracking.names import WAS_CHAMPION
from tests.integration.nights import night
from tests.integration.up_process import SMALL, Up, eventually, reigning

pytestmark = pytest.mark.filterwarnings("default")  # Prefect, MLflow and what they import warn
PROMOTED: dict[str, Any] = {"scale": 0.05, "seed": 1, "models": ["random", "als"]}
"""A night whose ALS passes the gate."""
FAMILY = "grail-demo-0.05-1"


def tables(summary: Summary) -> dict[str, Any]:
    """What two nights on one world must agree on to the last bit."""
    return {
        "figures": {name: model.metrics for name, model in summary.models.items()},
        "rows": summary.rows,
        "lists": hashlib.sha256(Path(summary.top_n).read_bytes()).hexdigest(),
    }


@pytest.fixture
def begun_night(up: Up) -> Callable[..., str]:
    """Begins a night and waits until it has made something new of a table."""

    def begin(table: str, **settings: Any) -> str:
        before = up.made(table)
        run = up.begin("nightly", **settings)
        eventually(lambda: up.made(table) - before, pause=0.02)
        assert up.run(run)["state_type"] == "RUNNING"
        return run

    return begin


@pytest.fixture
def next_night(up: Up, prefect_server: str, tmp_path: Path) -> Callable[..., Summary]:
    """Runs a night to its end and compares its tables with those of one that lost nothing."""

    def run(**settings: Any) -> Summary:
        file = tmp_path / "summary.json"
        ended = up.ended(up.begin("nightly", **settings, summary=str(file)))
        assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
        summary = Summary.model_validate_json(file.read_text())
        whole = night(tmp_path / "whole", source="demo", **settings).summary
        assert tables(summary) == tables(whole)
        return summary

    return run


def test_a_night_whose_process_is_killed_has_crashed_and_the_next_goes_on(
    up: Up, begun_night: Callable[..., str], next_night: Callable[..., Summary]
) -> None:
    lost = begun_night("features/user_item", **SMALL, seed=2)
    up.process_of(lost).kill()
    assert up.ended(lost)["state_type"] == "CRASHED"
    assert up.process.poll() is None
    next_night(**SMALL, seed=2)


def test_a_killed_worker_ends_all_of_it_and_the_next_start_goes_on(
    up: Up, begun_night: Callable[..., str], next_night: Callable[..., Summary]
) -> None:
    lost = begun_night("models/popularity", **SMALL, seed=3)
    (worker,) = up.named("worker")
    worker.kill()
    assert up.process.wait(timeout=60) == 1
    assert "worker was killed by signal 9; " in up.said.read_text()
    assert up.is_gone()  # the night, too
    up.start()
    up.wait_until_up()
    assert up.run(lost)["state_type"] == "CRASHED"
    next_night(**SMALL, seed=3)


def test_mlflow_killed_while_a_champion_is_made_leaves_a_whole_one(
    up: Up, begun_night: Callable[..., str], next_night: Callable[..., Summary]
) -> None:
    """Killed as soon as the night's version is there: the gate's next request makes it champion."""
    database = f"sqlite:///{up.root / 'mlflow.db'}"
    before, new = versions(up), "1"  # the first of this world
    assert reigning(database, FAMILY) is None
    lost = begun_night("models/als", **PROMOTED)
    (server,) = up.named("mlflow")
    eventually(lambda: versions(up) > before, pause=0.001)
    server.kill()
    assert up.process.wait(timeout=60) == 1
    assert "mlflow was killed by signal 9; " in up.said.read_text()
    assert up.is_gone()
    found = reigning(database, FAMILY)
    assert (found and found.version) in (None, new)
    up.start()
    up.wait_until_up()
    assert up.run(lost)["state_type"] == "CRASHED"
    promotion = next_night(**PROMOTED).promotion
    assert (promotion.is_promoted, promotion.version) == (True, new)  # registered once
    found = reigning(up.mlflow, FAMILY)
    assert found is not None
    assert (found.version, found.tags[WAS_CHAMPION]) == (new, "yes")


def versions(up: Up) -> int:
    """How many versions of models are registered, as the file of the database says."""
    with sqlite3.connect(f"{(up.root / 'mlflow.db').as_uri()}?mode=ro", uri=True) as database:
        return int(database.execute("SELECT count(*) FROM model_versions").fetchone()[0])
