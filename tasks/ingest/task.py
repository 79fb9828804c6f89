"""Raw CSV to typed Parquet: one task a file, its rejects kept beside it, its counts in balance."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from schemas.artifacts import SourceFile
from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from schemas.tables import CONTRACTS
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.table_task import table_task
from tasks.artifacts.writer import ArtifactWriter
from tasks.ingest.clock import disagreement
from tasks.ingest.coverage import coverage_of, lines_of
from tasks.ingest.csv_text import WHOLE_ROW, has_any, scan_text
from tasks.ingest.dialect import ends_in_a_line, shown
from tasks.ingest.log_slices import BUCKETS, DAYS, batches, bucket_numbers, rows_by_day
from tasks.ingest.raw_tables import RAW_TABLES
from tasks.ingest.reader import Chunk, Counts, read_raw
from tasks.ingest.text_file import text_file
from tasks.sources.locate import unchanged

logger = logging.getLogger(__name__)

SHOWN_REJECTS = 5


TOLERANCE = timedelta(days=1)
"""How far this machine's clock and those of others may be apart."""


def ingested(
    path: Path, table: str, scratch: Path, max_reject_share: float, now: datetime
) -> Iterator[Chunk]:
    """Yield the pieces of one raw file as rows of its table; what is dated after now is rejected.

    ContractError if the file cannot be read, has no good row, loses a row, or has a larger share of
    rejects than ``max_reject_share``; the first rejects are named.
    """
    raw = replace(RAW_FILES[table], file_name=path.name)
    counts = Counts()
    samples: list[pl.DataFrame] = []
    for piece in read_raw(path, raw, RAW_TABLES[table], scratch, now + TOLERANCE):
        counts.add(piece.counts)
        samples.append(piece.rejects.head(SHOWN_REJECTS))
        yield piece
    counts.balance(raw.file_name)
    if counts.rejected > max_reject_share * counts.read:
        first = "; ".join(
            _complaint(**reject)
            for reject in pl.concat(samples).sort("row_number").head(SHOWN_REJECTS).to_dicts()
        )
        raise ContractError(
            f"{raw.file_name}: {counts.rejected:,} of {counts.read:,} rows are rejected, more than"
            f" max_reject_share={max_reject_share:g} allows. The first: {first}"
            f"{disagreement(scan_text(path, raw), raw)}"
        )
    if not counts.kept:
        raise ContractError(
            f"{raw.file_name} has a header but no good row among {counts.read:,}. Fetch it again"
        )


def _complaint(*, row_number: int, column: str, rule: str, value: str | None, **_: str) -> str:
    """Say of a reject where it is and what is wrong with it."""
    if column == WHOLE_ROW:
        return f"row {row_number} has fewer or more fields than the header"
    said = "nothing" if value is None else shown(value)
    return f"row {row_number}, column {column}: {said} is not '{rule}'"


def staged(pieces: Iterator[Chunk], *, has_times: bool) -> Iterator[Chunk]:
    """Add the stage of each cell: 1 with a time, 2 without; null if no cell of the file has one.

    The authors' stage 2 are videos that had to be force-exposed to complete the block. In a file
    without any time (a partial copy) that cannot be told.
    """
    stage = pl.when(pl.col("viewed_at").is_null()).then(2).otherwise(1)
    stage = (stage if has_times else pl.lit(None)).cast(pl.Int8).alias("stage")
    for piece in pieces:
        yield Chunk(piece.kept.with_columns(stage), piece.rejects, piece.counts)


def write_pieces(pieces: Iterator[Chunk], table: ArtifactWriter, rejects: ArtifactWriter) -> None:
    """Append the pieces to the drafts of a table and its rejects; note the counts as a fact."""
    columns = list(CONTRACTS[table.name].to_schema().columns)
    counts = Counts()
    days: Counter[str] = Counter()
    buckets: list[int] = []
    for batch in batches(pieces, lambda piece: piece.kept.height):
        kept = pl.concat(piece.kept for piece in batch)
        order = [c for c in columns if c in kept.columns]
        order += [c for c in kept.columns if c not in order]
        if kept.height:
            heights = [piece.kept.height for piece in batch if piece.kept.height]
            table.append(kept.select(order), heights)
        rejects.append(pl.concat(piece.rejects for piece in batch))
        for piece in batch:
            counts.add(piece.counts)
        if table.name == "interactions":
            days.update(rows_by_day(kept))
            buckets += [n for piece in batch for n in bucket_numbers(piece.kept)]
    table.metadata["counts"] = vars(counts)
    if days:
        table.metadata |= {DAYS: dict(sorted(days.items())), BUCKETS: buckets}


@table_task(stage="ingest", reads=("raw_file",), writes=("{table}", "rejects"), key="table")
def ingest(inputs: Inputs, out: Outputs, *, table: str, max_reject_share: float) -> None:
    """Read one raw file into its table, and its rejects beside it."""
    file = inputs.given("raw_file", SourceFile)
    path = Path(file.path)
    with unchanged(path, file.content), inputs.store.scratch() as scratch:
        text, buckets = text_file(path, Path(scratch)), Path(scratch) / "buckets"
        buckets.mkdir()
        if not ends_in_a_line(text):
            logger.warning(
                "%s does not end with the end of a line: it may be cut off. Compare its size with"
                " the original's",
                path.name,
            )
        pieces = ingested(text, table, buckets, max_reject_share, datetime.now(UTC))
        if table == "small_matrix":
            has_times = has_any(path, RAW_FILES[table], "timestamp")
            pieces = staged(pieces, has_times=has_times)
        write_pieces(pieces, out[table], out["rejects"])


def say_coverage(inputs: Inputs) -> None:
    """Say each row of the table in the log."""
    for line, is_little in lines_of(inputs.read("coverage")):
        (logger.warning if is_little else logger.info)("%s", line)


@table_task(
    stage="ingest",
    reads=("interactions",),
    optional=("users", "video_tags", "video_daily_stats", "captions", "small_matrix"),
    writes=("coverage",),
    log=say_coverage,
)
def count_coverage(inputs: Inputs, out: Outputs) -> None:
    """Count how many users and videos of another each file covers."""
    names = [name for name in RAW_FILES if name in inputs]
    frame = coverage_of({name: inputs.scan(name) for name in names})
    out["coverage"].append(frame)
    out["coverage"].metadata["shares"] = dict(frame.select("file", "share").iter_rows())
