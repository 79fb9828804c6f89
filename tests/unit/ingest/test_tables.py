"""Ingest stops at too many rejects, tells the block's stages, and reads KuaiRec's real rows."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from prefect import flow

from schemas.artifacts import SourceFile
from schemas.errors import ContractError, SourceError
from schemas.raw_files import RAW_FILES
from schemas.tables import CONTRACTS
from tasks.artifacts.inputs import Refs
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext
from tasks.artifacts.writer import ArtifactWriter
from tasks.ingest.csv_text import has_any
from tasks.ingest.reader import Chunk, Counts
from tasks.ingest.task import ingest, ingested, staged, write_pieces
from tasks.sources.locate import fingerprint, unchanged
from tasks.sources.task import unzip_archive
from tasks.sources.unzip import unpack
from tests.raw_files import LATEST, row, text_of

COUNTS = Counts(read=2, kept=2)


def write(folder: Path, table: str, *rows: str) -> Path:
    path = folder / RAW_FILES[table].file_name
    path.write_text(text_of(table, *rows))
    return path


def pieces_of(path: Path, table: str, folder: Path, share: float = 0.01) -> Iterator[Chunk]:
    scratch = folder / f"scratch-{table}"
    scratch.mkdir(parents=True)
    return ingested(path, table, scratch, share, LATEST)


def log_with_rejects(good: int, bad: int) -> list[str]:
    """Good rows of users in many buckets, bad rows first, in the middle and last."""
    rows = [row("interactions", user_id=str(600 * i)) for i in range(good)]
    for i in range(bad):
        rows.insert(i * good // max(bad - 1, 1) + i, row("interactions", user_id=f"x{i}"))
    return rows


def test_more_rejects_than_allowed_stop_the_run_and_the_first_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "interactions", *log_with_rejects(good=93, bad=7))
    with pytest.raises(ContractError) as caught:
        list(pieces_of(path, "interactions", tmp_path, share=0.069))
    message = str(caught.value)
    assert message.startswith("big_matrix.csv: 7 of 100 rows are rejected, more than")
    assert "max_reject_share=0.069" in message
    rule = "'whole number from 0 to 2147483647'"
    assert f"row 1, column user_id: 'x0' is not {rule}; row 17, column user_id: 'x1'" in message
    assert "'x4'" in message
    assert "'x5'" not in message


def test_what_is_quoted_of_a_file_is_short_and_printable(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07" + "z" * 100_000
    rows = [row("users", user_id=hostile), "1,2", row("users", user_id=str(2), fans_user_num="\0")]
    with pytest.raises(ContractError) as caught:
        list(pieces_of(write(tmp_path, "users", *rows), "users", tmp_path, share=0))
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 800
    assert "row 2 has fewer or more fields than the header" in message
    assert "surplus" not in message


@pytest.mark.parametrize("share", [0.07, 1])
def test_rejects_up_to_the_share_are_kept_aside(tmp_path: Path, share: float) -> None:
    path = write(tmp_path, "interactions", *log_with_rejects(good=93, bad=7))
    pieces = list(pieces_of(path, "interactions", tmp_path, share))
    assert sum(piece.kept.height for piece in pieces) == 93
    assert sum(piece.rejects.height for piece in pieces) == 7


@pytest.mark.parametrize("table", ["interactions", "users"])
def test_file_without_rows_is_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(ContractError, match="has a header but no good row among 0"):
        list(pieces_of(write(tmp_path, table), table, tmp_path))


def test_file_without_good_rows_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path, "interactions", *log_with_rejects(good=0, bad=2))
    with pytest.raises(ContractError, match="no good row among 2"):
        list(pieces_of(path, "interactions", tmp_path, share=1))


def cells(*seconds: int | None) -> Iterator[Chunk]:
    times = pl.Series("viewed_at", seconds, pl.Int64).cast(pl.Datetime("ms", "UTC"))
    yield Chunk(pl.DataFrame({"viewed_at": times}), pl.DataFrame(), COUNTS)


def test_cells_without_a_time_are_stage_two() -> None:
    (piece,) = staged(cells(5, None), has_times=True)
    assert piece.kept["stage"].to_list() == [1, 2]
    assert piece.kept.schema["stage"] == pl.Int8
    assert piece.counts is COUNTS


def test_stage_is_unknown_where_no_cell_has_a_time() -> None:
    (piece,) = staged(cells(None, None), has_times=False)
    assert piece.kept["stage"].to_list() == [None, None]
    assert piece.kept.schema["stage"] == pl.Int8


def test_written_tables_keep_their_contract_and_their_counts(tmp_path: Path) -> None:
    rows = [*log_with_rejects(good=50, bad=2), row("interactions", user_id="0")]
    path = write(tmp_path, "interactions", *rows)
    writers = {}
    for name in ("interactions", "rejects"):
        (tmp_path / name).mkdir()
        writers[name] = ArtifactWriter(tmp_path / name, name)
    write_pieces(pieces_of(path, "interactions", tmp_path, 0.1), *writers.values())
    for writer in writers.values():
        writer.close()
        CONTRACTS[writer.name].validate(pl.read_parquet(writer.folder / "data.parquet"))
    assert [writer.rows for writer in writers.values()] == [50, 2]
    counts = writers["interactions"].metadata["counts"]
    assert counts == vars(Counts(read=53, kept=50, duplicates_exact=1, rejected=2))


REAL = {
    "interactions": Counts(read=52_795, kept=50_858, duplicates_exact=1_937),
    "small_matrix": Counts(read=56_541, kept=56_541),
    "users": Counts(read=7_176, kept=7_176),
    "video_tags": Counts(read=10_728, kept=10_728),
    "captions": Counts(read=10_728, kept=10_728),
}


@pytest.mark.parametrize("table", list(REAL))
def test_real_rows_are_read_as_documented(real_slice: Path, tmp_path: Path, table: str) -> None:
    path = real_slice / "KuaiRec 2.0" / "data" / RAW_FILES[table].file_name
    pieces = pieces_of(path, table, tmp_path)
    if table == "small_matrix":
        has_times = has_any(path, RAW_FILES[table], "timestamp")
        assert not has_times
        pieces = staged(pieces, has_times=has_times)
    counts = Counts()
    kept = []
    for piece in pieces:
        counts.add(piece.counts)
        kept.append(CONTRACTS[table].validate(piece.kept))
    assert counts == REAL[table]
    if table == "small_matrix":
        assert pl.concat(kept)["stage"].is_null().all()
    if table == "video_tags":
        assert round(kept[0]["tags"].list.len().mean(), 3) == 1.183
        assert kept[0]["tags"].explode().unique().sort().to_list() == list(range(31))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "interactions", *log_with_rejects(good=93, bad=0))
    checksum = fingerprint({"interactions": path})["interactions"]

    def read() -> None:
        pieces = pieces_of(path, "interactions", tmp_path)
        with unchanged(path, checksum):
            next(pieces)
            write(tmp_path, "interactions", *log_with_rejects(good=94, bad=0))
            assert list(pieces)

    with pytest.raises(SourceError, match=r"big_matrix\.csv changed while it was read.+run again"):
        read()


def test_that_it_changed_is_said_rather_than_what_came_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, "users", row("users"))
    checksum = fingerprint({"users": path})["users"]
    path.write_text("half a file")
    with pytest.raises(SourceError, match="changed") as caught, unchanged(path, checksum):
        list(pieces_of(path, "users", tmp_path))
    assert isinstance(caught.value.__cause__, ContractError)


def test_a_file_that_stays_as_it_is_may_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "users", row("users"))
    with unchanged(path, fingerprint({"users": path})["users"]):
        (piece,) = pieces_of(path, "users", tmp_path)
    assert piece.kept.height == 1


@pytest.mark.usefixtures("prefect_server")
def test_no_table_stands_under_the_checksum_of_another_file(tmp_path: Path) -> None:
    path, root = write(tmp_path, "users", row("users")), tmp_path / "root"
    good, checksum = path.read_bytes(), fingerprint({"users": path})["users"]

    @flow(name="ingests")
    def ingests() -> Refs:
        file = SourceFile(path=str(path), content=checksum)
        run = RunContext(str(root), 42)
        return ingest(run, {"raw_file": file}, table="users", max_reject_share=0.0)

    write(tmp_path, "users", row("users", user_id="5"))
    with pytest.raises(SourceError, match="changed"):
        ingests()
    assert not list(root.glob("ingest/*/*"))
    path.write_bytes(good)
    (user,) = Store(str(root)).read(ingests()["users"])["user_id"]
    assert user != 5


def test_a_zip_that_changes_while_it_is_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, root = tmp_path / "KuaiRec.zip", tmp_path / "root"

    def pack(user_id: str) -> None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for table, raw in RAW_FILES.items():
                if raw.is_required:
                    opened.writestr(raw.file_name, text_of(table, row(table, user_id=user_id)))

    def after_another_was_put_there(*paths: Path) -> None:
        pack("5")
        unpack(*paths)

    def unzipped() -> tuple[Refs, bool]:
        file = SourceFile(path=str(archive), content=fingerprint({"archive": archive})["archive"])
        return unzip_archive.build_or_reuse(RunContext(str(root), 42), {"archive_file": file}, {})

    pack("3")
    with monkeypatch.context() as busy:
        busy.setattr("tasks.sources.task.unpack", after_another_was_put_there)
        with pytest.raises(SourceError, match=r"KuaiRec\.zip changed while it was read"):
            unzipped()
    assert not list(root.glob("sources/*/*"))
    refs, was_there = unzipped()
    assert not was_there
    folder = Store(str(root)).folder(refs["archive"])
    assert ",5," in (folder / "KuaiRec" / "big_matrix.csv").read_text().replace("\n", ",")
