"""What a person waits for: nights after the first, a demo from one command, MLflow, one list.

A *later night* finds a root on which one was played before: for the same log with ``as_of`` a day
earlier, or in a row of nights, where last week's night is this one's backtest and only the newest
day's file has come since. Seconds are the flow's, Prefect's server running, but for the command,
which is timed from its typing to its end. One list is asked of ``mlflow models serve``, over one
connection, for users drawn at random.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

from benchmarks.comparisons import Comparison
from benchmarks.ground import BenchmarkError, Ground, run
from benchmarks.measure import Facts, Side, timed_tree
from benchmarks.night import night
from benchmarks.servers import serving

DEMO_SCALE = 0.3
"""Of the demo that `make run` plays, where the ground has KuaiRec's full shape."""
REQUESTS = 1_000
LOGGING = {"check-tracking", "track-runs", "promote", "publish-night"}
"""The tasks that speak with MLflow."""


def day_later(ground: Ground) -> Facts:
    """Play a night of the same log, after that of a day earlier."""
    root = ground.fresh("day-later")
    _play(ground, root, _last_day(ground) - timedelta(days=1))
    return night(ground, root)[0]


def row_of_nights(ground: Ground) -> Facts:
    """Play a night whose backtest is last week's night, when one more day's file has come."""
    from schemas.settings import NightlyConfig

    folder = ground.fresh("row-of-nights")
    growing = replace(ground, world=folder / "world")
    with ProcessPoolExecutor(1, get_context("spawn")) as process:  # its memory is not the night's
        newest = process.submit(log_by_day, ground.world, growing.world).result()
    aside = newest.rename(folder / newest.name)
    week = timedelta(days=NightlyConfig().backtest_days)
    _play(growing, folder / "root", _last_day(ground) - week)
    aside.rename(newest)
    return night(growing, folder / "root")[0]


def log_by_day(world: Path, folder: Path) -> Path:
    """Lay out a world with one file of views a day; return the newest one's."""
    import polars as pl

    log = folder / "big_matrix"
    log.mkdir(parents=True)
    for file in world.iterdir():
        if file.name != "big_matrix.csv":
            (folder / file.name).symlink_to(file)
    views = pl.read_csv(world / "big_matrix.csv", infer_schema=False)
    for (day,), rows in views.partition_by("date", as_dict=True).items():
        rows.write_csv(log / f"{day}.csv")
    return max(log.iterdir())


def command(ground: Ground) -> Facts:
    """Make a demo world and play a night on it, as `make run` does."""
    where = ("--root", ground.fresh("command"), "--seed", ground.seed)
    with timed_tree() as (facts, _):
        run("flows", "nightly", "--source", "demo", "--scale", DEMO_SCALE * ground.scale, *where)
    return facts


def logged_in_file(ground: Ground) -> Facts:
    """Log a demo's night to MLflow's SQLite file in the root."""
    demo = _demo(ground)
    return _logging(night(demo, demo.fresh("night"))[0])


def logged_by_server(ground: Ground) -> Facts:
    """Log a demo's night to a server of MLflow's."""
    demo = _demo(ground)
    root = demo.fresh("night")
    with serving(
        *("flows.dev_stack.mlflow_server", "--workers", "1"),
        *("--artifacts-destination", str(root / "mlartifacts")),
        health="/health",
        log=root / "server.log",
        # As `make mlflow` starts it
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        GRAIL_ROOT=str(root),
    ) as (address, _):
        return _logging(night(demo, root, tracking_uri=address)[0])


def one_list(ground: Ground) -> Facts:
    """Ask the first night's model for one user's list, again and again."""
    import numpy as np
    import polars as pl

    version = ground.summary["promotion"]["version"]
    name = ground.summary["promotion"]["registered_model"]
    users = pl.read_parquet(f"{ground.summary['artifacts']['user_index']}/data.parquet")["user_id"]
    asked = np.random.default_rng(ground.seed).choice(users.to_numpy(), REQUESTS)
    with serving(
        *("mlflow", "models", "serve", "--env-manager", "local"),
        *("--model-uri", f"models:/{name}/{version}"),
        health="/ping",
        log=ground.fresh("served") / "server.log",
        MLFLOW_TRACKING_URI=f"sqlite:///{ground.root}/mlflow.db",
    ) as (address, process):
        _, *seconds = _answers(address, [asked[0].item(), *asked.tolist()])  # one to warm it up
        peak = sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    hundredths = quantiles(seconds, n=100)
    return {"seconds": median(seconds), "p99_seconds": hundredths[98], "peak_mib": peak / 2**20}


def _answers(address: str, users: list[int]) -> Iterator[float]:
    """Yield the seconds of each answer."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    for user in users:
        body = json.dumps({"dataframe_records": [{"user_id": user}]})
        begun = time.perf_counter()
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        taken = time.perf_counter() - begun
        if answer.status != http.HTTPStatus.OK:
            raise BenchmarkError(f"{address} answered {answer.status}: {said.decode()[:200]}")
        yield taken


def _demo(ground: Ground) -> Ground:
    return Ground.make(ground.folder / "demo", DEMO_SCALE * ground.scale, ground.seed)


def _logging(facts: Facts) -> Facts:
    """Return the costs of a night's logging alone."""
    spoken = [task for task in facts["tasks"] if task["task"] in LOGGING]
    seconds = sum(task["seconds"] for task in spoken)
    return {"seconds": seconds, "peak_mib": facts["peak_mib"], "tasks": spoken}


def _last_day(ground: Ground) -> date:
    return date.fromisoformat(ground.summary["as_of"])


def _play(ground: Ground, root: Path, as_of: date) -> None:
    """Play a night in a process of its own."""
    where = ("--source", ground.world, "--root", root, "--seed", ground.seed)
    run("flows", "nightly", *where, "--as-of", as_of)


SIDES: dict[str, Side] = {
    "day_later": day_later,
    "row_of_nights": row_of_nights,
    "command": command,
    "logged_in_file": logged_in_file,
    "logged_by_server": logged_by_server,
    "one_list": one_list,
}
COMPARISONS: tuple[Comparison, ...] = ()
