"""Drift: the stability index by hand, its symmetry, its bins, and what is read off a log."""

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.monitoring.drift import (
    BINS,
    FLOOR,
    equal_count_edges,
    histogram,
    log_drift,
    number_drift,
    stability_index,
)

COUNTS = st.lists(st.integers(1, 1_000), min_size=4, max_size=4).map(np.array)
EARLIER, AS_OF = date(2020, 8, 5), date(2020, 8, 7)


def test_by_hand():
    # shares .5 .5 against .25 .75
    by_hand = 0.25 * math.log(2) - 0.25 * math.log(2 / 3)
    assert stability_index(np.array([5, 5]), np.array([1, 3])) == pytest.approx(by_hand)


def test_an_empty_bin_counts_as_the_floor():
    by_hand = (0.5 - 1) * math.log(0.5) + (0.5 - FLOOR) * math.log(0.5 / FLOOR)
    assert stability_index(np.array([1, 1]), np.array([2, 0])) == pytest.approx(by_hand)


@given(COUNTS, COUNTS, st.integers(2, 9))
def test_nothing_for_equal_shares_the_same_both_ways_and_never_below_zero(p, q, times):
    assert stability_index(p, p * times) == pytest.approx(0, abs=1e-12)
    assert stability_index(p, q) == pytest.approx(stability_index(q, p))
    assert stability_index(p, q) >= 0


def test_no_counts_are_refused():
    with pytest.raises(ValueError, match="without counts"):
        stability_index(np.array([0, 0]), np.array([1, 1]))


def test_bins_hold_equally_many_of_the_reference():
    values = np.arange(1, 101)
    edges = equal_count_edges(values)
    assert edges.tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert histogram(values, edges).tolist() == [10] * BINS
    assert histogram(np.array([0, 10, 11, 5_000]), edges).tolist() == [2, 1, *[0] * 7, 1]


def test_a_frequent_value_takes_a_bin_of_its_own():
    values = np.array([0] * 50 + list(range(1, 51)))
    edges = equal_count_edges(values)
    assert edges.tolist() == [0, 10, 20, 30, 40]
    assert histogram(values, edges).tolist() == [50, 10, 10, 10, 10, 10]


def test_numbers_drift_the_same_on_every_increasing_scale():
    rng = np.random.default_rng(1)
    reference, values = rng.lognormal(size=1_000), rng.lognormal(0.5, size=1_000)
    drift = number_drift(values, reference)
    assert drift > 0.1
    assert number_drift(np.log(values), np.log(reference)) == drift


def log_of(days, *, users=8, ratio=lambda day, user: 0.1 * user, video=lambda day, user: user % 4):
    """One view a user and day; noon in Shanghai is 4 o'clock UTC."""
    noon = datetime(2020, 8, 1, 4, tzinfo=UTC)
    rows = [
        {
            "user_id": user,
            "video_id": video(day, user),
            "viewed_at": noon + timedelta(days=day),
            "watch_ratio": float(ratio(day, user)),
            "video_duration_ms": 5_000 + 1_000 * video(day, user),
        }
        for day in days
        for user in range(users)
    ]
    types = {"viewed_at": pl.Datetime("ms", "UTC")}
    return pl.LazyFrame(rows, schema_overrides=types)


VIDEOS = pl.DataFrame({"video_id": [0, 1, 2, 3], "tags": [[1], [1, 2], [3], []]})


def drifted(log):
    return {name for name, index in log_drift(log, VIDEOS, EARLIER, AS_OF).items() if index > 1e-9}


def test_days_alike_do_not_drift():
    assert drifted(log_of(range(6))) == set()


def test_days_from_as_of_on_are_not_looked_at():
    late = log_of([6, 7], ratio=lambda day, user: 9)
    assert drifted(pl.concat([log_of(range(6)), late])) == set()


def test_each_distribution_drifts_by_itself():
    assert drifted(log_of(range(6), ratio=lambda day, user: day)) == {"watch_ratio"}
    other = log_of(range(6), video=lambda day, user: user % 2 if day < 4 else 2 + user % 2)
    assert drifted(other) == {"video_length", "tags"}


def test_views_are_counted_as_if_they_lay_in_memory():
    rng = np.random.default_rng(3)
    log = log_of(
        range(6),
        users=500,
        ratio=lambda day, user: np.round(rng.lognormal(day / 9), 2),
        video=lambda day, user: int(rng.lognormal(day / 9) * 9),
    )
    is_late = pl.col("viewed_at") >= datetime(2020, 8, 4, 16, tzinfo=UTC)
    late, early = (log.filter(kept).collect() for kept in (is_late, ~is_late))
    drift = log_drift(log, VIDEOS, EARLIER, AS_OF)
    for name, column in (("watch_ratio", "watch_ratio"), ("video_length", "video_duration_ms")):
        assert drift[name] == number_drift(late[column].to_numpy(), early[column].to_numpy()) > 0.05


def test_activity_is_by_user_and_day_so_that_it_sees_who_stays_away():
    few = log_of([4, 5]).filter(pl.col("user_id") < 2)
    log = pl.concat([log_of(range(4)), few])
    # 32 times one view before; then 4 times, and 12 times none
    by_hand = stability_index(np.array([12, 4]), np.array([0, 32]))
    activity = log_drift(log, VIDEOS, EARLIER, AS_OF)["activity"]
    assert activity == pytest.approx(by_hand)


def test_tags_of_views_by_hand():
    log = pl.concat(
        [
            log_of(range(4), users=1, video=lambda day, user: 1),
            log_of([4, 5], users=1, video=lambda day, user: 2 + day % 2),
        ]
    )
    # before: tags 1 and 2 alike; then: tag 3, and a video without any
    by_hand = stability_index(np.array([1, 0, 0, 1]), np.array([0, 1, 1, 0]))
    assert log_drift(log, VIDEOS, EARLIER, AS_OF)["tags"] == pytest.approx(by_hand)
