"""A log of files by day: the same tables as of one file, and a new day that touches no other."""

import gzip
import logging
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from inspect import unwrap
from pathlib import Path

import polars as pl
import pytest

from schemas.artifacts import ArtifactRef
from schemas.errors import ContractError, SourceError
from tasks.artifacts.inputs import Refs
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext
from tasks.demo_world import write_demo_world
from tasks.features import task as features
from tasks.features.log_days import days_with_views, views_by_day
from tasks.ingest.log_task import ingest_log, know_log
from tasks.ingest.task import ingest
from tasks.sources.locate import fingerprint, locate
from tasks.sources.task import SourceFile

DAYS = {f"202008{day:02}" for day in range(1, 11)}
SHARE = {"max_reject_share": 0.01}
FEATURES = (
    features.build_id_index,
    features.fit_label_threshold,
    features.build_user_item,
    features.build_user_features,
    features.build_video_features,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_demo_world(folder, scale=0.02, seed=3)
    log = folder / "big_matrix.csv"
    head, *rows = log.read_text().splitlines(keepends=True)
    column = head.strip().split(",").index("date")
    log.write_text(head + "".join(row for row in rows if row.split(",")[column] in DAYS))
    return folder


@pytest.fixture(scope="module")
def lines(world: Path) -> dict[str, list[str]]:
    """Rows of the log by its partition, as text; the header is that of no day."""
    head, *rows = (world / "big_matrix.csv").read_text().splitlines(keepends=True)
    column = head.strip().split(",").index("date")
    by_day: dict[str, list[str]] = {"": [head]}
    for row in rows:
        by_day.setdefault(row.split(",")[column], []).append(row)
    return by_day


@pytest.fixture
def by_day(world: Path, lines: dict[str, list[str]], tmp_path: Path) -> Path:
    """The world with its log as a folder of files by day, of all kinds."""
    copy = tmp_path / "world"
    shutil.copytree(world, copy, ignore=shutil.ignore_patterns("big_matrix.csv"))
    (copy / "big_matrix").mkdir()
    for number, (day, rows) in enumerate(lines.items()):
        if day:
            write(copy / "big_matrix", f"log of [{day}] #%41", lines[""] + rows, number % 3)
    return copy


def write(folder: Path, name: str, rows: list[str], kind: int = 0) -> Path:
    text = "".join(rows).encode()
    file = folder / (name + (".csv", ".csv.gz", ".parquet")[kind])
    if kind == 2:
        pl.read_csv(text).write_parquet(file)
    else:
        file.write_bytes(gzip.compress(text) if kind else text)
    return file


def log_of(run: RunContext, world: Path) -> ArtifactRef:
    sums = fingerprint({str(file): file for file in locate(world).log_parts})
    files = [SourceFile(path=path, content=content) for path, content in sums.items()]
    made: Refs = unwrap(ingest_log)(run, files, SHARE["max_reject_share"]).data
    return made["interactions"]


def as_of(run: RunContext, day: date, log: ArtifactRef) -> ArtifactRef:
    """Return the log as of a day; what is made of it follows its content alone."""
    made: Refs = unwrap(know_log)(run.at(day), log).data
    return made["interactions"]


def whole_log_of(run: RunContext, world: Path) -> ArtifactRef:
    return tables_of(run, world, ("interactions",))["interactions"]


def tables_of(run: RunContext, world: Path, names: tuple[str, ...]) -> Refs:
    found = locate(world).files
    sums = fingerprint(found)
    files = {n: SourceFile(path=str(found[n]), content=sums[n]) for n in names}
    return {
        n: ingest.build_or_reuse(run, {"raw_file": file}, {"table": n, **SHARE})[0][n]
        for n, file in files.items()
    }


def features_of(run: RunContext, raw: Refs) -> Iterator[tuple[str, str]]:
    tables = dict(raw)
    for task in FEATURES:
        tables |= task.build_or_reuse(run, task.chosen(tables), {})[0]  # type: ignore[arg-type]
    yield from ((name, ref.content) for name, ref in tables.items() if name not in raw)


def test_files_by_day_make_the_tables_that_one_file_makes(
    world: Path, by_day: Path, tmp_path: Path
) -> None:
    run = RunContext(str(tmp_path / "root"), 42)
    store = Store(run.root)
    whole, log = whole_log_of(run, world), log_of(run, by_day)
    assert pl.concat(store.row_groups(log)).equals(store.read(whole))
    assert log.metadata["counts"] == whole.metadata["counts"]
    assert log.rows == whole.rows
    names = ("users", "video_tags", "video_daily_stats", "captions", "small_matrix")
    others = tables_of(run, world, names)
    day = days_with_views(views_by_day(store.scan(whole)))[-3]
    past = run.at(day)
    known = as_of(run, day, log)
    assert dict(features_of(past, others | {"interactions": known})) == dict(
        features_of(past, others | {"interactions": whole})
    )


def test_a_new_day_leaves_what_was_known_before_as_it_is(
    by_day: Path, lines: dict[str, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunContext(str(tmp_path / "root"), 42)
    store = Store(run.root)
    *_, file = sorted((by_day / "big_matrix").iterdir())
    later = file.rename(tmp_path / file.name)
    log = log_of(run, by_day)
    end = days_with_views(views_by_day(store.scan(log)))[-1]
    before = [as_of(run, end - timedelta(days=n), log).content for n in (0, 3)]
    made = set(Path(run.root).glob("[!.]*/*/*/manifest.json"))
    later.rename(file)
    grown = log_of(run, by_day)
    assert grown.rows > log.rows  # type: ignore[operator]
    # the new file and its rejects, its day, the day before if it has some late rows, the log
    assert len(set(Path(run.root).glob("[!.]*/*/*/manifest.json")) - made) <= 5
    assert [as_of(run, end - timedelta(days=n), grown).content for n in (0, 3)] == before
    assert not caplog.records

    first = sorted((by_day / "big_matrix").iterdir())[0]
    write(by_day / "big_matrix", "again", lines[""] + lines[min(filter(None, lines))][:50])
    overlapping = log_of(run, by_day)
    assert overlapping.rows == grown.rows
    counts, were = overlapping.metadata["counts"], grown.metadata["counts"]
    assert counts["read"] == were["read"] + 50
    assert counts["kept"] == were["kept"]

    first.unlink()
    (by_day / "big_matrix" / "again.csv").unlink()
    with caplog.at_level(logging.WARNING):
        less = log_of(run, by_day)
    assert less.rows < grown.rows  # type: ignore[operator]
    assert as_of(run, end, less).content not in before
    (said,) = caplog.messages
    assert said.startswith(f"2 files (again.csv, {first.name}) of the log that were there")


def test_what_is_no_log_is_said_in_a_line(by_day: Path, tmp_path: Path) -> None:
    run = RunContext(str(tmp_path / "root"), 42)
    folder = by_day / "big_matrix"
    (by_day / "big_matrix.csv").write_text("user_id\n")
    with pytest.raises(SourceError, match=r"more than once: big_matrix\.csv, big_matrix/"):
        locate(by_day)
    (by_day / "big_matrix.csv").unlink()
    (folder / "notes.txt").write_text("")
    with pytest.raises(SourceError, match=r"'notes\.txt', which is no file of the log"):
        locate(by_day)
    (folder / "notes.txt").unlink()
    for name, content, reason in (
        ("cut.csv.gz", gzip.compress(b"user_id" * 1000)[:-9], "cut.csv.gz cannot be unpacked"),
        ("no.csv.gz", b"user_id", "no.csv.gz cannot be unpacked"),
        ("no.parquet", b"user_id", "no.parquet is no readable Parquet"),
        ("other.csv", b"user_id,b\n1,2\n", "other.csv, header: missing columns"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(ContractError, match=reason):
            log_of(run, by_day)
        (folder / name).unlink()
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(SourceError, match="is empty"):
        locate(by_day)
