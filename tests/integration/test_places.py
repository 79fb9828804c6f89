"""A night and its champion's lists in folders whose names mean something to every library."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl

from schemas.tracked_settings import TrackedConfig
from tasks.demo_world import write_demo_world
from tasks.promotion.model_registry import set_champion
from tasks.tracking.night_run import reachable
from tests.unit.schemas.test_paths import NASTY

PROJECT = Path(__file__).parents[2]
DEEP = Path(NASTY, "x" * 255)
"""As many bytes as a name may have, and nearly as many as SQLite allows in a path."""
MODELS = ("--models", "random,popularity")


def run(subcommand: str, *argv: str, cwd: Path, server: str) -> str:
    """Run a command in some folder, its home; return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", subcommand, *argv],
        cwd=cwd,
        env={
            **os.environ,
            "PREFECT_API_URL": server,
            "PYTHONPATH": str(PROJECT),
            "HOME": str(cwd),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout + done.stderr


def paths_in(summary: Any) -> list[str]:
    """Every text in a summary that is a path."""
    if isinstance(summary, dict):
        summary = [*summary.values()]
    if isinstance(summary, list):
        return [path for part in summary for path in paths_in(part)]
    return [summary] if isinstance(summary, str) and summary.startswith("/") else []


def test_places_mean_what_they_say(prefect_server: str, tmp_path: Path) -> None:
    """Relative, under ~, through a link, moved; from a night to its lists."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    world = here / DEEP / "world"
    world.mkdir(parents=True)
    write_demo_world(world, scale=0.05, seed=4)
    (here / "link").symlink_to(here / DEEP, target_is_directory=True)
    settings = ("--source", f"link/../{DEEP.name}/world", "--summary", "~/s.json", *MODELS)

    run("nightly", *settings, "--root", "link/root/", cwd=here, server=prefect_server)
    root = here / DEEP / "root"
    summary = json.loads((here / "s.json").read_text())
    assert summary["source"] == f"demo world in {world}"
    lists = pl.read_parquet(summary["top_n"], glob=False)
    made = [Path(path) for path in paths_in(summary)]
    assert len(made) > 20
    assert all(path.is_relative_to(root) and path.exists() for path in made)
    shown = {path.name for path in here.iterdir() if not path.name.startswith(".")}
    assert shown == {NASTY, "link", "s.json"}  # the hidden ones are of a home

    gate = summary["promotion"]
    with reachable(TrackedConfig(root=str(root)).tracking_address) as client:
        set_champion(
            client, gate["registered_model"], gate["version"]
        )  # whatever the gate thought of it
    user = lists["user_id"].min()
    (there / "users [a]*.csv").write_text(f"user_id\n{user}\n")
    asked = ("--user-file", "users [a]*.csv", "--out", "~/lists?.parquet", "--top-n", "100")
    run("recommend", *asked, "--root", f"../here/{DEEP}/root", cwd=there, server=prefect_server)
    before = pl.read_parquet(there / "lists?.parquet", glob=False)
    assert before["user_id"].unique().to_list() == [user]

    root.rename(there / "moved?")
    said = run(
        "recommend", *asked, "--root", str(there / "moved?"), cwd=there, server=prefect_server
    )
    assert f"was moved here from {root}: MLflow's database follows" in said
    assert pl.read_parquet(there / "lists?.parquet", glob=False).equals(before)
    run("nightly", *settings, "--root", str(there / "moved?"), cwd=here, server=prefect_server)
    again = json.loads((here / "s.json").read_text())
    assert again["mlflow_run_id"] == summary["mlflow_run_id"]
    told = {**gate, "champion": gate["version"], "is_news": False}  # the gate has said it before
    assert again["promotion"] == told
    assert not root.exists()
