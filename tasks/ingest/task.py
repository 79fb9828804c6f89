"""Raw CSV to typed Parquet: one task a file, its rejects kept beside it, its counts in balance."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from prefect.client.schemas import State

from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from schemas.tables import CONTRACTS
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.ingest.clock import disagreement
from tasks.ingest.csv_text import WHOLE_ROW, has_any, scan_text
from tasks.ingest.dialect import ends_in_a_line, shown
from tasks.ingest.raw_tables import RAW_TABLES
from tasks.ingest.reader import Counts, Piece, read_raw
from tasks.sources.locate import unchanged

logger = logging.getLogger(__name__)

SHOWN_REJECTS = 5


TOLERANCE = timedelta(days=1)
"""How far this machine's clock and those of others may be apart."""


def ingested(
    path: Path, table: str, scratch: Path, max_reject_share: float, now: datetime
) -> Iterator[Piece]:
    """Yield the pieces of one raw file as rows of its table; what is dated after now is rejected.

    ContractError if the file cannot be read, has no good row, loses a row, or has a larger share of
    rejects than ``max_reject_share``; the first rejects are named.
    """
    raw = RAW_FILES[table]
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


def staged(pieces: Iterator[Piece], *, has_times: bool) -> Iterator[Piece]:
    """Add the stage of each cell: 1 with a time, 2 without; null if no cell of the file has one.

    The authors' stage 2 are videos that had to be force-exposed to complete the block. In a file
    without any time (a partial copy) that cannot be told.
    """
    stage = pl.when(pl.col("viewed_at").is_null()).then(2).otherwise(1)
    stage = (stage if has_times else pl.lit(None)).cast(pl.Int8).alias("stage")
    for piece in pieces:
        yield Piece(piece.kept.with_columns(stage), piece.rejects, piece.counts)


def write_pieces(pieces: Iterator[Piece], table: Draft, rejects: Draft) -> None:
    """Append the pieces to the drafts of a table and its rejects; note the counts as a fact."""
    columns = list(CONTRACTS[table.name].to_schema().columns)
    counts = Counts()
    for piece in pieces:
        order = [c for c in columns if c in piece.kept.columns]
        order += [c for c in piece.kept.columns if c not in order]
        table.append(piece.kept.select(order))
        rejects.append(piece.rejects)
        counts.add(piece.counts)
    table.facts["counts"] = vars(counts)


@step("ingest", "ingest-{table}")
def ingest(table: str, file: str, checksum: str, max_reject_share: float, root: str) -> State[Refs]:
    """Read one raw file into ``ingest/<table>`` and ``ingest/rejects``."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        with unchanged(Path(file), checksum), store.scratch() as scratch:
            if not ends_in_a_line(Path(file)):
                logger.warning(
                    "%s does not end with the end of a line: it may be cut off. Compare its size"
                    " with the original's",
                    Path(file).name,
                )
            now = datetime.now(UTC)
            pieces = ingested(Path(file), table, Path(scratch), max_reject_share, now)
            if table == "block":
                has_times = has_any(Path(file), RAW_FILES[table], "timestamp")
                pieces = staged(pieces, has_times=has_times)
            write_pieces(pieces, drafts[table], drafts["rejects"])

    return make(
        store,
        "ingest",
        (table, "rejects"),
        build,
        parents={table: checksum},
        config={"max_reject_share": max_reject_share, "table": table},
    )
