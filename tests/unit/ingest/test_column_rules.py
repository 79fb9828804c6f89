"""Each rule of a raw field: texts that keep it, what they become, and texts that break it."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from schemas.raw_columns import INT32_MAX, INT64_MAX
from tasks.ingest import column_rules as rules
from tasks.ingest.column_rules import Column


def texts(*values: str | None) -> pl.DataFrame:
    return pl.DataFrame({"field": values}, schema={"field": pl.String})


def broken_rules(column: Column, text: str | None) -> list[str]:
    frame = texts(text)
    return [rule.name for rule in column.rules if frame.select(rule.broken).item() is not False]


ID = rules.whole("field")
COUNT = rules.whole("field", nullable=True)
LONG = rules.whole("field", high=INT64_MAX, nullable=True)
LENGTH = rules.whole("field", low=1)
LEVEL = rules.whole("field", nullable=True, unknown=("UNKNOWN", "-124"))
RATIO = rules.real("field")
PROGRESS = rules.real("field", nullable=True)
FLAG = rules.flag("field")
TEXT = rules.text("field", unknown=("UNKNOWN", "-124"))
DAY = rules.day("field", "day", "%Y%m%d")
UPLOAD = rules.day("field", "day", "%Y-%m-%d", nullable=True)
MOMENT = rules.moment("field", "viewed_at")
STAGED = rules.moment("field", "viewed_at", nullable=True)
TAGS = rules.id_list("field", "tags", pl.Int16, 2**15 - 1)
FRIENDS = rules.id_list("field", "friends", pl.Int32, INT32_MAX)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (ID, "0", 0),
        (ID, "2147483647", INT32_MAX),
        (ID, "007", 7),
        (LENGTH, "1", 1),
        (COUNT, None, None),
        (COUNT, "7434", 7434),
        (COUNT, "7434.0", 7434),
        (LONG, "9223372036854775807", INT64_MAX),
        (LONG, "9007199254740993.0", 9007199254740993),
        (LEVEL, "8", 8),
        (LEVEL, "-124", None),
        (LEVEL, "UNKNOWN", None),
        (RATIO, "0", 0.0),
        (RATIO, "573.25", 573.25),
        (RATIO, "1e-3", 0.001),
        (PROGRESS, None, None),
        (FLAG, "0", False),
        (FLAG, "1", True),
        (FLAG, None, None),
        (TEXT, "颜值", "颜值"),
        (TEXT, "UNKNOWN", None),
        (TEXT, "-124", None),
        (TEXT, None, None),
        (DAY, "20200229", date(2020, 2, 29)),
        (UPLOAD, "2020-07-05", date(2020, 7, 5)),
        (UPLOAD, None, None),
        (MOMENT, "1593878903.438", datetime(2020, 7, 4, 16, 8, 23, 438_000, tzinfo=UTC)),
        (MOMENT, "1593878903", datetime(2020, 7, 4, 16, 8, 23, tzinfo=UTC)),
        (STAGED, None, None),
        (TAGS, "[8]", [8]),
        (TAGS, "[27, 9]", [9, 27]),
        (TAGS, "[ 9,27 ,9 ]", [9, 27]),
        (TAGS, "[]", []),
        (TAGS, "[0]", [0]),
        (TAGS, "[32767]", [32767]),
        (FRIENDS, "[2147483647]", [INT32_MAX]),
    ],
)
def test_text_that_keeps_the_rules_is_typed(column: Column, text: str | None, value: Any) -> None:
    typed = texts(text).select(column.typed).to_series()
    assert typed.to_list() == [value]
    assert broken_rules(column, text) == []


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *((ID, text) for text in ("", "abc", "-1", "1.5", "1.0", " 1", "1 ", "1_0", "0x1", "1e3")),
        (ID, "2147483648"),
        (ID, "9223372036854775808"),
        (ID, "-9223372036854775809"),
        *((COUNT, text) for text in ("-1", "-1.0", "7434.5", "nan", "inf", "2147483648.0", "1e3")),
        (LONG, "9223372036854775808"),
        (LONG, "9223372036854775808.0"),
        (LENGTH, "0"),
        (LEVEL, "-125"),
        (LEVEL, "unknown"),
        *((RATIO, text) for text in ("-0.1", "nan", "inf", "-inf", "abc", "", "0,5", "1_0")),
        *((FLAG, text) for text in ("2", "-1", "true", "", "01")),
        *((DAY, text) for text in ("20200230", "2020-07-05", "2020075", " 20200705", "20200705.0")),
        *((UPLOAD, text) for text in ("20200705", "2020-7-5", "2020-07-05 00:00:00", "soon")),
        *((MOMENT, text) for text in ("15938789", "1593878903438", "-1", "nan", "inf", "today")),
        *(
            (TAGS, text)
            for text in ("", "8", "[8", "8]", "[8,]", "[,8]", "[8 9]", "[08]", "(8, 9)")
        ),
        *((TAGS, text) for text in ("[[8]]", "[8, [9]]", "[8.0]", "[1e1]", "[-1]", '["8"]')),
        *(
            (TAGS, text)
            for text in ("[null]", "[true]", "[\uff18]", "[8,\u00a09]", "[8]\n", "{}", "[x]")
        ),
        (TAGS, "[32768]"),
        (TAGS, "[99999999999]"),
        (TAGS, "[" + "9" * 40 + "]"),
        (TAGS, "__import__('os').getpid()"),
        (FRIENDS, "[2147483648]"),
    ],
)
def test_text_that_breaks_a_rule_is_blamed_once(column: Column, text: str) -> None:
    assert len(broken_rules(column, text)) == 1


@pytest.mark.parametrize("column", [ID, LENGTH, RATIO, DAY, MOMENT, TAGS, FRIENDS])
def test_required_field_must_be_present(column: Column) -> None:
    assert broken_rules(column, None) == ["present"]


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (ID, pl.Int32),
        (LONG, pl.Int64),
        (RATIO, pl.Float64),
        (FLAG, pl.Boolean),
        (DAY, pl.Date),
        (MOMENT, pl.Datetime("ms", "UTC")),
        (TAGS, pl.List(pl.Int16)),
        (FRIENDS, pl.List(pl.Int32)),
    ],
)
def test_types_hold_for_bad_text_too(column: Column, dtype: pl.DataType) -> None:
    frame = texts(None, "x", "99999999999")
    assert frame.select(column.typed).dtypes == [dtype]


@pytest.mark.parametrize(
    ("ratio", "play", "duration", "agrees"),
    [
        ("0.5", "500", "1000", True),
        ("0.5009", "500", "1000", True),
        ("0.502", "500", "1000", False),
        ("0", "0", "1000", True),
        ("0.002", "0", "1000", False),
        ("572.0", "572000", "1000", True),
        ("573.0", "572000", "1000", False),
        ("5.0", "500", "1000", False),
        # Another rule's business: nothing can be said of what is no number
        (None, "500", "1000", True),
        ("0.5", None, "1000", True),
        ("0.5", "500", "x", True),
    ],
)
def test_ratio_must_agree_with_its_durations(
    ratio: str | None, play: str | None, duration: str | None, agrees: bool
) -> None:
    rule = rules.ratio_agrees("ratio", "play", "duration")
    fields = {"ratio": [ratio], "play": [play], "duration": [duration]}
    frame = pl.DataFrame(fields, schema=dict.fromkeys(fields, pl.String))
    assert frame.select(rule.broken).item() is not agrees
