"""The newest day of a log of files by day, against the ingest of all of its days.

The world's log lies in a file a day. One side ingests them all into an empty root; the other finds
all but the newest in its root, as the night before left it, with what is remembered of files that
nobody wrote to since; a third ingests the same rows as one file. Seconds are those from the first
checksum of a raw file to the whole log, which must be the same. The other raw files are in neither.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import BenchmarkError, Ground
from benchmarks.ingest import ingest_log as ingest_file
from benchmarks.measure import CHECK, Facts, Side, timed
from benchmarks.waits import log_by_day

PREPARE = "prepare"
LEAST_SHARE = 0.5
"""Of the largest file: a smaller one has late rows of the day before, and is no day of its own."""


def prepare(ground: Ground) -> Facts:
    """Lay out the log by day, and its days as one file."""
    folder = ground.fresh("by-day")
    log_by_day(ground.world, folder)
    (folder / "one-file").mkdir()
    with (folder / "one-file/big_matrix.csv").open("wb") as whole:
        for number, day in enumerate(_days(ground)):
            with day.open("rb") as rows:
                if number:
                    rows.readline()
                shutil.copyfileobj(rows, whole)
    return {}


def all_days(ground: Ground) -> Facts:
    """Ingest all days into an empty root."""
    facts, content = ingested(_days(ground), ground.fresh("all-days"))
    _content(ground, "all_days").write_text(content)
    return facts


def newest_day(ground: Ground) -> Facts:
    """Ingest all days where only the newest one is new."""
    days, root = _days(ground), ground.fresh("newest-day")
    with ProcessPoolExecutor(1, get_context("spawn")) as night_before:
        night_before.submit(ingested, days[:-1], root).result()
    facts, content = ingested(days, root)
    _content(ground, "newest_day").write_text(content)
    return facts


def one_file(ground: Ground) -> Facts:
    """Ingest the rows of all days as one file."""
    facts, _ = ingest_file(ground, ground.folder / "scratch/by-day/one-file")
    return facts


def ingested(days: list[Path], root: Path) -> tuple[Facts, str]:
    """Ingest a log of some files; return the facts, and what identifies its rows."""
    from benchmarks.plain_script import plain, without_prefect
    from schemas.artifacts import SourceFile
    from schemas.settings import NightlyConfig
    from tasks.artifacts.store import Store
    from tasks.artifacts.table_task import RunContext
    from tasks.ingest.log_task import ingest_log
    from tasks.sources.locate import fingerprint

    run, share = RunContext(str(root), seed=42), NightlyConfig().max_reject_share
    with without_prefect(), timed() as facts:
        sums = fingerprint({str(day): day for day in days}, Store(run.root).known_files.sha256)
        files = [SourceFile(path=path, content=content) for path, content in sums.items()]
        log = plain(ingest_log)(run, files, share)["interactions"]
    return facts | {"kept": log.rows, "files": len(days)}, log.content


def check(ground: Ground) -> Facts:
    """Compare the contents of both logs."""
    made, grown = (_content(ground, side).read_text() for side in ("all_days", "newest_day"))
    if made != grown:
        raise BenchmarkError(f"new_day: the log that has grown is {grown}, made at once {made}")
    return {"log": "equal bytes"}


def _days(ground: Ground) -> list[Path]:
    """Return the files up to the newest that is of a whole day."""
    found = sorted((ground.folder / "scratch/by-day/big_matrix").iterdir())
    sizes = [file.stat().st_size for file in found]
    whole = [n for n, size in enumerate(sizes) if size >= LEAST_SHARE * max(sizes)]
    return found[: whole[-1] + 1]


def _content(ground: Ground, side: str) -> Path:
    return ground.result(f"new-day-{side}.txt")


SIDES: dict[str, Side] = {
    PREPARE: prepare,
    "all_days": all_days,
    "one_file": one_file,
    "newest_day": newest_day,
    CHECK: check,
}
COMPARISONS = (
    Comparison(
        "ingest of the newest of the log's days",
        "all of its days, a file each",
        ours="newest_day",
        theirs=("all_days",),
        goal=Goal(most_times=0.15),
    ),
    Comparison(
        "the same",
        "all of its days in one file",
        ours="newest_day",
        theirs=("one_file",),
        goal=Goal(most_times=0.15),
    ),
)
