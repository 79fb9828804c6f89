"""From a raw CSV file to typed rows, rejects and counts, in bounded memory.

One pass over the text types every row, finds the first rule it breaks, and cuts the table into
buckets, on disk unless the file is small; each bucket is then sorted, freed of duplicates and
handed out. Every row that was read is kept, a duplicate, or a reject: ``Counts.balance`` checks it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

import polars as pl

from schemas.errors import ContractError
from schemas.raw_files import RawFile
from tasks.ingest.column_rules import Rule
from tasks.ingest.csv_text import EXTRA, IS_UNEVEN, ROW, WHOLE_ROW, scan_text, unreadable
from tasks.ingest.raw_tables import RawTable

SMALL_BYTES = 2**26
"""Of text: a file of no more, such as a day of the log, is cut into buckets in memory."""

Bucket: TypeAlias = Callable[[], pl.DataFrame]
"""Gives the rows of a bucket."""

_BROKEN = "broken_rule"
_VALUE = "broken_value"
_TIEBREAK = "tiebreak"
_BUCKET = "bucket"
_FIRST = " of the first"
_REJECT_SCHEMA = {
    "file": pl.String,
    ROW: pl.Int64,
    "column": pl.String,
    "rule": pl.String,
    "value": pl.String,
}


@dataclass
class Counts:
    """Where the rows of a raw file went."""

    read: int = 0
    kept: int = 0
    duplicates_exact: int = 0
    duplicates_across_partitions: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of another part of the same file."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    def balance(self, file: str) -> None:
        """Raise ContractError if a row of ``file`` got lost or was counted twice."""
        settled = (
            self.kept + self.duplicates_exact + self.duplicates_across_partitions + self.rejected
        )
        if self.read != settled:
            raise ContractError(f"{file}: {self.read} rows read, {settled} accounted for: {self}")


@dataclass(frozen=True)
class Chunk:
    """A part of a table: its good rows by key, its rejects, and its counts."""

    kept: pl.DataFrame
    rejects: pl.DataFrame
    counts: Counts


def read_raw(
    path: Path, raw: RawFile, table: RawTable, scratch: Path, latest: datetime
) -> Iterator[Chunk]:
    """Yield ``path`` piece by piece; ``scratch`` is an empty folder for the buckets.

    ContractError if the file as a whole cannot be read. Text is never guessed at: a field that
    breaks a rule puts its row among the rejects, as does a moment after ``latest``.
    """
    table = table.believed_until(latest)
    marked = _typed(scan_text(path, raw), table)
    is_small = path.stat().st_size <= SMALL_BYTES
    try:
        if table.bucket is None:
            yield _settled(marked.collect(), raw, table)
            return
        bucketed = marked.with_columns(table.bucket.alias(_BUCKET))
        buckets = _in_memory(bucketed) if is_small else _on_disk(bucketed, scratch)
    except pl.exceptions.ComputeError as error:
        raise unreadable(path, error) from error
    # The next bucket is settled while the reader's own thread writes this one: two cores, two jobs
    with ThreadPoolExecutor(1) as ahead:
        waiting: Future[Chunk] | None = None
        for bucket in buckets:
            following = ahead.submit(_settled_bucket, bucket, raw, table)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def _in_memory(rows: pl.LazyFrame) -> list[Bucket]:
    """Return the buckets of a small file by their number."""
    by_number = rows.collect().partition_by(_BUCKET, include_key=False, as_dict=True)
    return [by_number[number].clone for number in sorted(by_number)]


def _on_disk(rows: pl.LazyFrame, scratch: Path) -> list[Bucket]:
    """Cut a file of any size into buckets below ``scratch``; return them by their number."""
    rows.sink_parquet(
        pl.PartitionBy(scratch, key=_BUCKET, include_key=False),
        compression="lz4",
        statistics=False,
        mkdir=True,
    )
    folders = sorted(scratch.glob(f"{_BUCKET}=*"), key=lambda p: int(p.name.split("=")[1]))
    return [
        partial(pl.read_parquet, sorted(folder.glob("*.parquet")), glob=False) for folder in folders
    ]


def _settled_bucket(bucket: Bucket, raw: RawFile, table: RawTable) -> Chunk:
    return _settled(bucket(), raw, table)


def _typed(text: pl.LazyFrame, table: RawTable) -> pl.LazyFrame:
    """Type every row; number the first broken rule and keep the text that broke it.

    All in one ``select``: Polars then reads a number once that both a column and a rule need.
    """
    rules = _rules(table)
    first = pl.coalesce(
        *(pl.when(rule.broken).then(pl.lit(i, pl.UInt8)) for i, rule in enumerate(rules))
    )
    texts = dict.fromkeys(rule.column for rule in rules)
    typed = text.select(
        pl.col(ROW).cast(pl.Int64),
        *(column.typed for column in table.columns),
        *((pl.col(table.tiebreak).alias(_TIEBREAK),) if table.tiebreak else ()),
        first.alias(_BROKEN),
        pl.struct(*texts).alias(_VALUE),
    )
    blamed = pl.struct(_BROKEN, _VALUE).map_batches(
        partial(_value_blamed, rules=rules), return_dtype=pl.String, is_elementwise=True
    )
    return typed.with_columns(blamed.alias(_VALUE))


def _value_blamed(rows: pl.Series, rules: Sequence[Rule]) -> pl.Series:
    """Return the text that broke each row's rule; null, at no cost, where there is none."""
    broken = rows.struct.field(_BROKEN)
    if broken.null_count() == len(rows):
        return pl.Series(values=[None], dtype=pl.String).new_from_index(0, len(rows))
    frame = rows.struct.unnest().unnest(_VALUE)
    values = (pl.when(pl.col(_BROKEN) == i).then(rule.column) for i, rule in enumerate(rules))
    return frame.select(pl.coalesce(*values).alias(_VALUE))[_VALUE]


def _rules(table: RawTable) -> list[Rule]:
    """All rules in the order in which they are blamed; a ragged row comes first."""
    even = Rule(EXTRA, "as many fields as the header", pl.col(IS_UNEVEN))
    return [even, *(rule for column in table.columns for rule in column.rules), *table.rules]


def _settled(frame: pl.DataFrame, raw: RawFile, table: RawTable) -> Chunk:
    """Sort one bucket by key, drop duplicates, and set rejects apart.

    Of rows with one key the first by partition, then by values, is kept, wherever it stands in the
    file; rows equal to it are duplicates, the others are refused.
    """
    names = [column.name for column in table.columns]
    whole_row = [*([_TIEBREAK] if table.tiebreak else []), *names]
    values = [name for name in whole_row if name not in table.key]
    good = frame.filter(pl.col(_BROKEN).is_null()).sort(*table.key, *values, ROW, nulls_last=True)
    is_repeat = equals_previous(good, table.key)
    is_copy = equals_previous(good, whole_row).filter(is_repeat)
    repeats, first = good.filter(is_repeat), _first_of_key(good, is_repeat)
    is_duplicate = _equal_rows(repeats, first, names)
    broken = _rejects(frame.filter(pl.col(_BROKEN).is_not_null()), raw, _rules(table))
    second = _second_rows(repeats.filter(~is_duplicate), raw, table.key)
    kept = good.filter(~is_repeat).select(names)
    rejects = pl.concat([broken, second]).sort(ROW)
    counts = Counts(
        read=frame.height,
        kept=kept.height,
        duplicates_exact=int((is_duplicate & is_copy).sum()),
        duplicates_across_partitions=int((is_duplicate & ~is_copy).sum()),
        rejected=rejects.height,
    )
    return Chunk(kept, rejects, counts)


def equals_previous(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return, by row, whether all ``columns`` equal those of the row before, nulls included."""
    equal = [pl.col(c).eq_missing(pl.col(c).shift(1)) for c in columns]
    followed = pl.int_range(pl.len()) > 0
    return frame.select(pl.all_horizontal(followed, *equal).alias("equal"))["equal"]


def _first_of_key(frame: pl.DataFrame, is_repeat: pl.Series) -> pl.DataFrame:
    """Return, for each row that repeats a key, the first row with that key."""
    first = pl.when(~is_repeat).then(pl.int_range(pl.len())).forward_fill()
    return frame[frame.select(first.alias("first"))["first"].filter(is_repeat)]


def _equal_rows(left: pl.DataFrame, right: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return, by row, whether both frames hold the same, nulls included."""
    both = pl.concat(
        [left.select(columns), right.select(pl.col(columns).name.suffix(_FIRST))], how="horizontal"
    )
    equal = [pl.col(c).eq_missing(pl.col(c + _FIRST)) for c in columns]
    return both.select(pl.all_horizontal(*equal).alias("equal"))["equal"]


def _rejects(broken: pl.DataFrame, raw: RawFile, rules: list[Rule]) -> pl.DataFrame:
    by_number = pl.DataFrame(
        {
            _BROKEN: pl.Series(range(len(rules)), dtype=pl.UInt8),
            "column": [WHOLE_ROW if rule.column == EXTRA else rule.column for rule in rules],
            "rule": [rule.name for rule in rules],
        }
    )
    return (
        broken.join(by_number, on=_BROKEN, how="left", maintain_order="left")
        .select(
            pl.lit(raw.file_name).alias("file"),
            ROW,
            "column",
            "rule",
            pl.col(_VALUE).alias("value"),
        )
        .cast(_REJECT_SCHEMA)  # type: ignore[arg-type]  # names to types
    )


def _second_rows(second: pl.DataFrame, raw: RawFile, key: tuple[str, ...]) -> pl.DataFrame:
    """Refuse rows whose key an earlier, different row already has."""
    value = pl.concat_str([pl.col(c).cast(pl.String) for c in key], separator=", ")
    return second.select(
        pl.lit(raw.file_name).alias("file"),
        pl.col(ROW),
        pl.lit(", ".join(key)).alias("column"),
        pl.lit("one row for each").alias("rule"),
        value.alias("value"),
    ).cast(_REJECT_SCHEMA)  # type: ignore[arg-type]  # names to types
