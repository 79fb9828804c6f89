"""What a row says of its moment, in three columns that must agree: timestamp, time and date.

``timestamp`` counts unix seconds, ``time`` is the clock in Shanghai, ``date`` the log's partition,
which may be a day off. A shift of hours or a rounded number is no other moment, but a wrong one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from tasks.ingest.column_rules import Rule

if TYPE_CHECKING:
    from schemas.raw_files import RawFile

TIME_FORM = "2020-07-05 00:08:23.438"
DATE_FORM = "20200705"
SHANGHAI_SECONDS = 8 * 3600
"""Shanghai's clock is ahead of UTC by this; it has known no summer time since 1991."""
MOST_SECONDS_APART = 1.0
"""A time without its milliseconds still agrees."""
MOST_DAYS_APART = 1
DAY_SECONDS = 86_400

_SHORTEST = len("2020-07-05 00:08:23")
_READABLE = (
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$"
)


def agreement(timestamp: str, time: str, date: str) -> tuple[Rule, ...]:
    """Return the rules by which the three agree; what is not there disagrees with nothing.

    A row with a time but no timestamp is refused: its moment is known, and would be lost.
    """
    stamp, clock, day = pl.col(timestamp), pl.col(time), pl.col(date)
    seconds = stamp.cast(pl.Float64, strict=False)
    is_near = (_seconds_shown(clock) - seconds).abs() <= MOST_SECONDS_APART
    partition = day.str.strip_suffix(".0").str.to_date("%Y%m%d", strict=False).cast(pl.Int32)
    days = ((seconds + SHANGHAI_SECONDS) / DAY_SECONDS).floor()
    is_within = (partition - days).abs() <= MOST_DAYS_APART
    return (
        Rule(timestamp, f"present where {time} is", clock.is_not_null() & stamp.is_null()),
        Rule(
            time,
            f"{timestamp} on Shanghai's clock, to a second, as {TIME_FORM}",
            clock.is_not_null() & ~is_near.fill_null(value=False),
        ),
        Rule(
            date,
            f"the day of {timestamp} in Shanghai, to a day, as {DATE_FORM}",
            day.is_not_null() & ~is_within.fill_null(value=False),
        ),
    )


def disagreement(text: pl.LazyFrame, raw: RawFile) -> str:
    """Say in what way most rows of a file disagree about their moment; empty if they do not.

    ``text`` is the file as text, with the columns ``timestamp`` and ``time``.
    """
    if not {"timestamp", "time"} <= set(raw.columns):
        return ""
    stamp = pl.col("timestamp")
    shift = _seconds_shown(pl.col("time")) - stamp.cast(pl.Float64, strict=False)
    rows = text.select(
        minutes=(shift / 60).round().cast(pl.Int64, strict=False),
        is_rounded=stamp.str.contains("(?i)e").fill_null(value=False),
    ).collect()
    if rows["is_rounded"].mean() > 0.5:  # type: ignore[operator]  # rows were rejected: there are some
        return (
            ". Most timestamps are rounded, as a spreadsheet shows them (1.59879E+09): take the"
            " file as it was published, or have the column written as a plain number"
        )
    (minutes, count), *_ = rows["minutes"].value_counts(sort=True).rows()
    if not minutes or count * 2 <= rows.height:
        return ""
    return (
        f". In most rows time is {abs(minutes) / 60:g} h {'ahead of' if minutes > 0 else 'behind'}"
        " timestamp: timestamp must be unix seconds, and time the clock in Shanghai (UTC+8)."
        " Convert the one that is written in another time zone"
    )


def _seconds_shown(clock: pl.Expr) -> pl.Expr:
    """Return the unix seconds of a time in Shanghai; null where it cannot be read."""
    us = clock.map_batches(_microseconds, return_dtype=pl.Int64, is_elementwise=True)
    return us / 1_000_000 - SHANGHAI_SECONDS


def _microseconds(text: pl.Series) -> pl.Series:
    """Read clock times as if they were UTC; null where one is none.

    Arrow reads them ten times as fast as Polars, but all or none: where one cannot be read, the
    others of its batch are read by Polars, to the same values.
    """
    if text.null_count() == len(text):
        return pl.Series(text.name, [None], pl.Int64).new_from_index(0, len(text))
    shortest = text.str.len_bytes().min()
    if isinstance(shortest, int) and shortest >= _SHORTEST:
        try:
            return _as_int(pl.Series(text.name, text.to_arrow().cast(pa.timestamp("us"))))
        except pa.ArrowInvalid:
            pass
    readable = pl.when(pl.col("text").str.contains(_READABLE)).then("text")
    parsed = readable.str.replace("T", " ").str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False
    )
    return _as_int(text.to_frame("text").select(parsed)["text"].alias(text.name))


def _as_int(moments: pl.Series) -> pl.Series:
    return moments.cast(pl.Int64)
