"""A year of nights on one root by a simulated clock: what a night costs and leaves, all along.

The log is a folder of files by day, of which the last weeks are there: each night a day comes and
the oldest goes. The days are those of a small demo world over and over, so that what grows is what
nights leave, not what they learn from. A pruning follows every seventh night. Prefect's server, the
flow, MLflow and the pruning are the real ones; only pictures are drawn on the first night alone,
and copied then, as drawing them is a third of so small a night.

    python -m benchmarks.year --nights 365
"""

import argparse
import csv
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import polars as pl
import psutil
from matplotlib.figure import Figure

import flows  # noqa: F401  # settles the environment, before anything asks Prefect
from benchmarks.servers import serving
from schemas.paths import sqlite_address
from schemas.raw_files import RAW_FILES
from tasks.demo_world import write_demo_world
from tasks.figures.plot_style import save

SCALE, SEED, MODELS = 0.02, 42, ("random", "popularity")
FIRST_DAY = date(2020, 7, 5)
WINDOW, KEEP, PRUNE_EVERY = 28, 14, 7
"""Days of the log that are there; nights that a pruning keeps, and after how many one follows."""

COLUMNS = (
    *("night", "as_of", "flow_cpu", "server_cpu", "prune_cpu", "files", "bytes"),
    *("freed_files", "freed_bytes", "mlflow_bytes", "prefect_bytes", "runs", "versions"),
)


class GrowingLog:
    """A world whose log is a file a day: the days of a demo world, again and again."""

    def __init__(self, folder: Path) -> None:
        """Write the world, and take its log apart."""
        self.folder = folder
        folder.mkdir(parents=True)
        write_demo_world(folder, SCALE, SEED, lambda _done, _total: None)
        whole = folder / RAW_FILES["interactions"].file_name
        log = pl.read_csv(whole, infer_schema=False)
        self._days = log.partition_by("date", maintain_order=True)
        whole.unlink()
        (folder / "big_matrix").mkdir()

    def turn_to(self, number: int) -> None:
        """Have the last days before that of a number, counted from the first, and no others."""
        there = {self._file(day) for day in range(max(0, number - WINDOW), number)}
        for file in set((self.folder / "big_matrix").iterdir()) - there:
            file.unlink()
        for day in range(max(0, number - WINDOW), number):
            if not self._file(day).exists():
                self._moved(day).write_csv(self._file(day))

    def _file(self, day: int) -> Path:
        return self.folder / "big_matrix" / f"{FIRST_DAY + timedelta(day):%Y%m%d}.csv"

    def _moved(self, day: int) -> pl.DataFrame:
        rows, to = self._days[day % len(self._days)], FIRST_DAY + timedelta(day)
        by = to - pl.Series([rows["date"][0]]).str.to_date("%Y%m%d")[0]
        clock, seconds = "%Y-%m-%d %H:%M:%S%.3f", pl.col("timestamp").cast(pl.Float64)
        return rows.with_columns(
            pl.lit(f"{to:%Y%m%d}").alias("date"),
            (pl.col("time").str.to_datetime(clock) + by).dt.strftime(clock).alias("time"),
            (seconds + by.total_seconds()).round(3).cast(pl.String).alias("timestamp"),
        )


@contextmanager
def drawn_once(folder: Path) -> Iterator[None]:
    """Draw each picture of a night's verdict the first time, and copy it from then on."""
    folder.mkdir()

    def saved(figure: Figure, file: Path) -> None:
        if not (folder / file.name).exists():
            save(figure, folder / file.name)
        shutil.copy(folder / file.name, file)

    with patch("tasks.tracking.verdict_files.save", saved):
        yield


def seconds_of(process: psutil.Process) -> float:
    """Return the CPU seconds of a process so far."""
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def extent(folder: Path) -> tuple[int, int]:
    """Return the files in a folder, folders among them, and their bytes."""
    found = [path.lstat().st_size for path in folder.rglob("*")]
    return len(found), sum(found)


def counted(database: Path) -> list[int]:
    """Return how many runs and model versions are in MLflow's database, deleted ones too."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as open_one:
        tables = ("runs", "model_versions")
        return [open_one.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables]  # noqa: S608


def year(work: Path, nights: int) -> Iterator[dict[str, Any]]:
    """Play nights, prune every seventh, and yield a row of ``COLUMNS`` for each."""
    from flows.commands.run import import_tracking, start_server
    from flows.environment import PREFECT_DATABASE
    from schemas.settings import NightlyConfig

    root, prefect = work / "root", work / "prefect.db"
    os.environ[PREFECT_DATABASE] = sqlite_address(prefect, "aiosqlite")
    log = GrowingLog(work / "world")
    server = start_server(NightlyConfig(root=str(root)))
    import_tracking()
    server.wait(600)
    from flows.nightly import nightly
    from flows.prune import prune

    own = psutil.Process()
    (theirs,) = (p for p in own.children() if "temporary_server" in " ".join(p.cmdline()))
    files = bytes_ = 0
    with drawn_once(work / "pictures"):
        for night in range(1, nights + 1):
            log.turn_to(WINDOW + night)
            begun = seconds_of(own), seconds_of(theirs)
            said = nightly(source=str(log.folder), root=str(root), models=list(MODELS))
            ended, before = seconds_of(own), extent(root)
            if night % PRUNE_EVERY == 0:
                prune(root=str(root), keep_nights=KEEP, keep_days=0)
            after, databases = extent(root), (root / "mlflow.db", prefect)
            files, bytes_ = files + before[0] - after[0], bytes_ + before[1] - after[1]
            figures = (ended - begun[0], seconds_of(theirs) - begun[1], seconds_of(own) - ended)
            sizes = (*after, files, bytes_, *(file.stat().st_size for file in databases))
            row = (night, said.as_of, *(round(f, 2) for f in figures), *sizes)
            yield dict(zip(COLUMNS, (*row, *counted(root / "mlflow.db")), strict=True))


def page_seconds(database: Path, log: Path) -> dict[str, float]:
    """Return how long a real MLflow server takes to answer what its pages ask of it."""
    store = ("--backend-store-uri", sqlite_address(database))
    with serving("mlflow", "server", "--workers", "1", *store, health="/health", log=log) as (
        address,
        _,
    ):
        return dict(_asked(address))


def _asked(address: str) -> Iterator[tuple[str, float]]:
    api = f"{address}/api/2.0/mlflow"
    with httpx.Client(timeout=60, trust_env=False) as web:
        found = web.get(f"{api}/experiments/search", params={"max_results": 100}).json()
        runs = {"experiment_ids": [e["experiment_id"] for e in found["experiments"]]}
        asked: dict[str, tuple[str, str, Any]] = {
            "the page": ("GET", address, None),
            "experiments": ("GET", f"{api}/experiments/search?max_results=100", None),
            "runs": ("POST", f"{api}/runs/search", runs | {"max_results": 100}),
            "models": ("GET", f"{api}/registered-models/search?max_results=100", None),
            "versions": ("GET", f"{api}/model-versions/search?max_results=100", None),
        }
        for what, (method, url, body) in asked.items():
            begun = time.perf_counter()
            web.request(method, url, json=body).raise_for_status()
            yield what, round(time.perf_counter() - begun, 2)


def main() -> None:
    """Play the year, a line of CSV a night, then ask MLflow's server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--work", type=Path, default=Path("data/benchmarks/year"))
    asked = parser.parse_args()
    work = asked.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    logging.disable(logging.WARNING)
    with (work.parent / f"{work.name}.csv").open("w") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row in year(work, asked.nights):
            table.writerow(row)
            file.flush()
            print(*row.values(), flush=True)
    print(page_seconds(work / "root" / "mlflow.db", work / "mlflow.log"))


if __name__ == "__main__":
    main()
