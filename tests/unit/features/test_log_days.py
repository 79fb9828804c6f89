"""The last day of the log is told from its mass, and a wrong clock is named, not followed."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.features.cutoff import SHANGHAI
from tasks.features.log_days import (
    activity_of_users,
    day_after,
    days_with_views,
    strays,
    views_by_day,
)
from tasks.features.task import resolved_days

FIRST = date(2020, 7, 5)
KUAIREC = {FIRST + timedelta(n): 400 for w in ((0, 8), (27, 37), (53, 63)) for n in range(*w)}
"""Views on each day of KuaiRec's three windows, 18 and 16 silent days between them."""


def views_on(days: Mapping[date, int]) -> pl.DataFrame:
    moments = [
        datetime.combine(day, time(), SHANGHAI) + timedelta(seconds=i)
        for day, n in days.items()
        for i in range(n)
    ]
    return views_by_day(pl.LazyFrame({"viewed_at": moments}).cast(pl.Datetime("ms", "UTC")))


def as_of(days: Mapping[date, int]) -> date:
    return resolved_days(views_on(days), None, 7).as_of


@pytest.mark.parametrize(
    "days",
    [
        KUAIREC,
        {FIRST: 1, FIRST + timedelta(1): 1},
        {FIRST: 1, FIRST + timedelta(29): 1},
        {FIRST: 9, FIRST + timedelta(200): 9},  # two visits: neither is a wrong clock
        {FIRST + timedelta(n): 1000 // (n + 1) for n in range(20)},  # a log that fades
        {FIRST + timedelta(n): 400 for n in (0, 1, 2)} | {FIRST + timedelta(3): 4},
    ],
)
def test_every_day_of_a_real_log_counts(days: Mapping[date, int]) -> None:
    assert days_with_views(views_on(days)) == list(days)
    assert strays(views_on(days)) == ""
    assert as_of(days) == max(days) + timedelta(1)


@pytest.mark.parametrize(
    "far",
    [
        {date(2038, 1, 19): 1},
        {date(2099, 12, 31): 3},
        {date(2020, 9, 7): 2},
        {date(2020, 12, 1) + timedelta(n): 1 for n in range(60)},
        {date(2001, 1, 1): 1, date(2025, 6, 1): 500},  # a user's whole log
    ],
)
def test_a_wrong_clock_does_not_decide_the_last_day(far: Mapping[date, int]) -> None:
    days = dict(sorted((KUAIREC | far).items()))
    assert days_with_views(views_on(days)) == list(KUAIREC)
    assert as_of(days) == max(KUAIREC) + timedelta(1)
    said = strays(views_on(days))
    assert said.startswith(f"{sum(far.values()):,} views on ")
    assert str(min(far)) in said
    assert str(max(far)) in said
    assert "set as_of" in said


def test_one_row_of_a_tiny_log_does_not_decide_either() -> None:
    days = {FIRST: 20, FIRST + timedelta(1): 20, date(2025, 1, 1): 1}
    assert as_of(days) == FIRST + timedelta(2)


def test_the_day_may_be_set_all_the_same() -> None:
    days = KUAIREC | {date(2025, 6, 1): 1}
    assert resolved_days(views_on(days), date(2025, 6, 2), 7).as_of == date(2025, 6, 2)


@given(st.dictionaries(st.dates(FIRST, date(2021, 7, 5)), st.integers(1, 40), min_size=1))
def test_most_views_are_on_days_that_count(days: dict[date, int]) -> None:
    """Whatever the log, and each day is either counted or named."""
    counted = days_with_views(views_on(days))
    assert counted == sorted(counted)
    assert set(counted) <= set(days)
    if sum(days[day] for day in counted) < sum(days.values()):
        assert strays(views_on(days))


def test_activity_is_the_share_of_the_logs_days_with_a_view():
    """Four days, as people in Shanghai count them; two views on one are one, and 9 is not known."""
    moments = [
        (1, 1, 0),
        (1, 1, 23),
        (1, 3, 0),
        (2, 2, 0),
        (3, 1, 1),
        (3, 2, 1),
        (3, 3, 23),
        (3, 4, 0),
    ]
    log = pl.LazyFrame(
        {
            "user_id": [user for user, _, _ in moments],
            "viewed_at": [
                datetime(2020, 7, day, hour, tzinfo=SHANGHAI) for _, day, hour in moments
            ],
        }
    ).cast({"user_id": pl.Int32, "viewed_at": pl.Datetime("ms", "UTC")})
    asked = pl.Series("user_id", [3, 9, 1], dtype=pl.Int32)
    assert activity_of_users(log, asked).to_list() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("played", "day"),
    [(None, 4), (4, 8), (5, 8), (8, 9), (9, None), (12, None)],
    ids=lambda day: str(day),
)
def test_a_log_is_played_day_by_day_to_the_day_after_its_end(
    played: int | None, day: int | None
) -> None:
    there = [date(2020, 7, n) for n in (1, 3, 4, 8)]
    last = None if played is None else date(2020, 7, played)
    assert day_after(last, there) == (None if day is None else date(2020, 7, day))
