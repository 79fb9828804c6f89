"""A log of several files: which days are in which, and their rows put together, each once.

Days that the same files have rows of are one slice of the log. Files by day have a slice a day, and
a day that is new leaves the slices of all others as they are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from tasks.features.log_days import day_of, views_by_day
from tasks.ingest.raw_tables import RAW_TABLES
from tasks.ingest.reader import Counts, equals_previous

DAYS, BUCKETS = "days", "buckets"
"""Facts of a part of the log: rows by day, and the bucket of users of each row group."""

KEY = RAW_TABLES["interactions"].key
ROWS_AT_ONCE = 250_000

T = TypeVar("T")


def batches(pieces: Iterable[T], rows: Callable[[T], int]) -> Iterator[list[T]]:
    """Gather pieces until they have enough rows to be worth a check of their own."""
    waiting: list[T] = []
    height = 0
    for piece in pieces:
        waiting.append(piece)
        height += rows(piece)
        if height >= ROWS_AT_ONCE:
            yield waiting
            waiting, height = [], 0
    if waiting:
        yield waiting


def rows_by_day(rows: pl.DataFrame) -> dict[str, int]:
    """Count rows of the log by day in Shanghai, as text."""
    found = views_by_day(rows.lazy())
    return {str(day): views for day, views in found.iter_rows()}


def bucket_numbers(rows: pl.DataFrame) -> list[int]:
    """Return the bucket of rows that are of one, or nothing where there are none."""
    bucket = RAW_TABLES["interactions"].bucket
    assert bucket is not None  # noqa: S101  # the log is cut
    return rows.head(1).select(bucket.cast(pl.Int64)).to_series().to_list()


@dataclass(frozen=True)
class Slice:
    """Days of the log that the same parts have rows of; both ascending."""

    days: tuple[str, ...]
    parts: tuple[int, ...]


def slices_of(days: Sequence[Iterable[str]]) -> list[Slice]:
    """Return the slices of a log by their first day, given the days of each part."""
    parts_of: dict[str, list[int]] = {}
    for part, its_days in enumerate(days):
        for day in its_days:
            parts_of.setdefault(day, []).append(part)
    days_of: dict[tuple[int, ...], list[str]] = {}
    for day in sorted(parts_of):
        days_of.setdefault(tuple(parts_of[day]), []).append(day)
    return [Slice(tuple(its), parts) for parts, its in days_of.items()]


def together(pieces: Sequence[pl.DataFrame], days: Sequence[str]) -> tuple[pl.DataFrame, Counts]:
    """Return the rows of some days in the order of their key, each once, and where all went.

    ``pieces`` are rows of the same users in several parts. A row that is there again is a
    duplicate; of rows with one key and several ratios the least is kept, the others are rejected.
    """
    rows = pl.concat(pieces)
    wanted = pl.Series(days, dtype=pl.String).str.to_date()
    rows = rows.filter(day_of("viewed_at").is_in(wanted.implode()))
    if len(pieces) == 1:  # in order, and each once, as its part was written
        return rows, Counts(read=rows.height, kept=rows.height)
    rows = rows.sort(*KEY, "watch_ratio")
    kept = rows.filter(~equals_previous(rows, KEY))
    distinct = rows.height - int(equals_previous(rows, rows.columns).sum())
    return kept, Counts(
        read=rows.height,
        kept=kept.height,
        duplicates_across_partitions=rows.height - distinct,
        rejected=distinct - kept.height,
    )


def counts_of_log(
    parts: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]]
) -> Counts:
    """Return where the rows of a log's files went, given the counts of its parts and slices.

    What a slice leaves out was kept by a part.
    """
    counts = Counts()
    for part in parts:
        counts.add(Counts(**part))
    for made in slices:
        left_out = Counts(**made)
        left_out.kept = left_out.kept - left_out.read
        left_out.read = 0
        counts.add(left_out)
    counts.balance("the log")
    return counts


def of_other_days(days: Mapping[str, int]) -> int:
    """Count the rows of a part that are not of the day that most of its rows are of."""
    return sum(days.values()) - max(Counter(days).values(), default=0)
