"""What a field must be: for each column its type and the rules that a text can break.

Each factory returns a ``Column``: the expression that types it, and named rules with an expression
that is true where a row breaks the rule and never null.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

import polars as pl

from schemas.raw_columns import FIRST_DAY, INT32_MAX, RawColumn

LAST_DAY = date(2100, 1, 1)
"""From it on no day is believed, for timestamps and dates alike."""

_JSON_ID = "(0|[1-9][0-9]{0,9})"
"""A whole number as JSON writes it; anything else would stop the parser, and with it the file."""


@dataclass(frozen=True)
class Rule:
    """A named rule on a raw column; ``broken`` is true where a row breaks it."""

    column: str
    name: str
    broken: pl.Expr = field(hash=False, compare=False)


@dataclass(frozen=True)
class Column:
    """How a raw column becomes a typed one."""

    name: str
    typed: pl.Expr = field(hash=False, compare=False)
    rules: tuple[Rule, ...] = ()
    dated: "Dated | None" = None
    """What holds a moment; only those of the past are believed."""


@dataclass(frozen=True)
class Dated:
    """A raw column with a moment, in unix seconds; null where it cannot be read."""

    column: str
    seconds: pl.Expr = field(hash=False, compare=False)

    def past(self, latest: datetime) -> Rule:
        """Return the rule that it is not after ``latest``, a day from now."""
        late = (self.seconds > latest.timestamp()).fill_null(value=False)
        return Rule(self.column, "no later than tomorrow, by this machine's clock", late)


def declared(column: RawColumn) -> Column:
    """A column as it is declared."""
    if column.type == "whole":
        low, high, unknown = column.low, column.high, column.unknown
        return whole(column.raw, column.column, low=low, high=high, nullable=True, unknown=unknown)
    if column.type == "real":
        return real(column.raw, column.column, nullable=True)
    if column.type == "flag":
        return flag(column.raw, column.column)
    if column.type == "day":
        return day(column.raw, column.column, column.form, nullable=True, first=column.first)
    return text(column.raw, column.column, unknown=column.unknown)


def whole(
    raw: str,
    name: str | None = None,
    *,
    low: int = 0,
    high: int = INT32_MAX,
    nullable: bool = False,
    unknown: tuple[str, ...] = (),
) -> Column:
    """A whole number from low to high; the texts in ``unknown`` mean null.

    Where it may be null, ``7434.0`` is accepted as well: pandas writes whole numbers so when their
    column has nulls.
    """
    text = _known(raw, unknown)
    digits = text.str.strip_suffix(".0") if nullable else text
    number = digits.cast(pl.Int64, strict=False)
    dtype = pl.Int32 if high <= INT32_MAX else pl.Int64
    broken = number.is_null() | (number < low) | (number > high)
    rule = Rule(raw, f"whole number from {low} to {high}", text.is_not_null() & broken)
    typed = number.cast(dtype, strict=False).alias(name or raw)
    return Column(name or raw, typed, (*_required(raw, nullable=nullable), rule))


def real(raw: str, name: str | None = None, *, nullable: bool = False) -> Column:
    """A finite number, not negative."""
    text = pl.col(raw)
    number = text.cast(pl.Float64, strict=False)
    broken = number.is_null() | ~number.is_finite() | (number < 0)
    rule = Rule(raw, "finite number, not negative", text.is_not_null() & broken)
    return Column(
        name or raw, number.alias(name or raw), (*_required(raw, nullable=nullable), rule)
    )


def flag(raw: str, name: str | None = None) -> Column:
    """0 or 1; null where unknown."""
    text = pl.col(raw)
    rule = Rule(raw, "0 or 1", text.is_not_null() & ~text.is_in(["0", "1"]))
    typed = pl.when(text.is_in(["0", "1"])).then(text == "1").alias(name or raw)
    return Column(name or raw, typed, (rule,))


def text(raw: str, name: str | None = None, *, unknown: tuple[str, ...] = ()) -> Column:
    """Any text; the words in ``unknown`` mean null."""
    return Column(name or raw, _known(raw, unknown).alias(name or raw))


def day(
    raw: str, name: str, form: str, *, nullable: bool = False, first: date = FIRST_DAY
) -> Column:
    """A calendar day written as ``form`` (``%Y%m%d``), from ``first`` to the year 2100."""
    column = pl.col(raw)
    parsed = column.str.to_date(form, strict=False)
    # Polars also takes 2020075 for a day
    broken = (parsed.dt.to_string(form) != column).fill_null(value=True)
    far = ~parsed.is_between(first, LAST_DAY)
    return Column(
        name,
        parsed.alias(name),
        (
            *_required(raw, nullable=nullable),
            Rule(raw, f"a day as {form}", column.is_not_null() & broken),
            Rule(raw, f"a day from {first.year} to {LAST_DAY.year}", far.fill_null(value=False)),
        ),
        Dated(raw, parsed.cast(pl.Datetime("ms")).dt.epoch("s")),
    )


def moment(raw: str, name: str, *, nullable: bool = False) -> Column:
    """Unix seconds between the years 2000 and 2100, to the millisecond, as UTC."""
    column = pl.col(raw)
    seconds = column.cast(pl.Float64, strict=False)
    first, last = (datetime.combine(d, time(), UTC).timestamp() for d in (FIRST_DAY, LAST_DAY))
    broken = seconds.is_null() | ~seconds.is_between(first, last)
    rule = Rule(raw, "unix seconds from 2000 to 2100", column.is_not_null() & broken)
    ms = (seconds * 1000).round().cast(pl.Int64, strict=False)
    typed = ms.cast(pl.Datetime("ms", "UTC")).alias(name)
    rules = (*_required(raw, nullable=nullable), rule)
    return Column(name, typed, rules, Dated(raw, seconds))


def id_list(raw: str, name: str, dtype: type[pl.Int16] | type[pl.Int32], high: int) -> Column:
    """A JSON list of whole numbers from 0 to ``high``, sorted, repeats removed."""
    column = pl.col(raw)
    is_list = column.str.contains(rf"^\[ *({_JSON_ID}( *, *{_JSON_ID})*)? *\]$")
    ids = pl.when(is_list).then(column).str.json_decode(pl.List(pl.Int64))
    rule = Rule(raw, "JSON list of whole numbers", column.is_not_null() & ~is_list)
    too_high = Rule(raw, f"ids up to {high}", (ids.list.max() > high).fill_null(value=False))
    typed = ids.list.unique().list.sort().cast(pl.List(dtype), strict=False).alias(name)
    return Column(name, typed, (*_required(raw, nullable=False), rule, too_high))


def ratio_agrees(ratio: str, play: str, duration: str) -> Rule:
    """``watch_ratio`` is play / video duration, to one part in a thousand."""
    given = pl.col(ratio).cast(pl.Float64, strict=False)
    # Cast as ``whole`` casts them, so that the text is read once
    played, lasts = (
        pl.col(c).cast(pl.Int64, strict=False).cast(pl.Float64) for c in (play, duration)
    )
    far = (given * lasts - played).abs() > 1e-3 * pl.max_horizontal(played, lasts)
    return Rule(ratio, f"equals {play} / {duration}", far.fill_null(value=False))


def _known(raw: str, unknown: tuple[str, ...]) -> pl.Expr:
    column = pl.col(raw)
    return pl.when(~column.is_in(list(unknown))).then(column) if unknown else column


def _required(raw: str, *, nullable: bool) -> tuple[Rule, ...]:
    return () if nullable else (Rule(raw, "present", pl.col(raw).is_null()),)
