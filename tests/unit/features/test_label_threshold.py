"""The enjoyed label: a threshold that follows the length, fitted on training views."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from schemas.features import LabelThreshold
from tasks.features.label_threshold import (
    BUCKETS,
    LEAST_THRESHOLD,
    enjoyed_threshold,
    fit_threshold,
    is_enjoyed,
)
from tests.feature_tables import curve


def views(durations, ratios) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"video_duration_ms": durations, "watch_ratio": ratios},
        schema={"video_duration_ms": pl.Int32, "watch_ratio": pl.Float64},
    )


def thresholds(knots: pl.DataFrame, *durations: int) -> list[float]:
    return enjoyed_threshold(knots, np.array(durations, dtype=np.int32)).tolist()


def test_one_length_has_one_threshold_the_80th_percentile() -> None:
    knots = fit_threshold(views([10_000] * 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]))
    assert knots.rows() == [(10_000.0, pytest.approx(0.8))]
    assert thresholds(knots, 10_000) == pytest.approx([0.8])


def test_beyond_the_ends_the_play_time_is_constant() -> None:
    knots = curve((10_000, 0.8), (20_000, 0.5))
    assert thresholds(knots, 5_000, 1_000) == pytest.approx([1.6, 8.0])
    assert thresholds(knots, 40_000, 200_000) == pytest.approx([0.25, 0.05])


def test_between_knots_the_threshold_is_straight_in_logarithms() -> None:
    knots = curve((1_000, 4.0), (10_000, 1.0), (40_000, 1.0))
    between = np.exp((np.log(4.0) + np.log(1.0)) / 2)
    assert thresholds(knots, 1_000, 10_000) == pytest.approx([4.0, 1.0])
    assert thresholds(knots, round(1_000 * 10**0.5)) == pytest.approx([between], rel=1e-3)
    assert thresholds(knots, 25_000) == pytest.approx([1.0])


def test_constant_play_time_gives_slope_minus_one_everywhere() -> None:
    durations = np.geomspace(2_000, 200_000, 4_000).astype(int)
    knots = fit_threshold(views(durations, 7_500 / durations))
    lengths = np.array([500, 2_500, 7_500, 30_000, 190_000, 900_000])
    play_times = np.array(thresholds(knots, *lengths)) * lengths
    assert play_times == pytest.approx([7_500] * 6, rel=0.1)  # a bucket is wide: its 80th is early
    assert play_times / play_times[0] == pytest.approx([1] * 6, rel=0.01)


def test_buckets_hold_equal_counts() -> None:
    durations = np.arange(1_000, 1_000 + 10 * BUCKETS)
    knots = fit_threshold(views(durations, np.ones(len(durations))))
    expected = [1_000 + 10 * i + 4.5 for i in range(BUCKETS)]
    assert knots["duration_ms"].to_list() == expected
    assert set(knots["watch_ratio"]) == {1.0}


def test_repeated_lengths_are_never_torn_apart() -> None:
    durations = [5_000] * 500 + [6_000] * 30 + [7_000] * 470
    ratios = [2.0] * 500 + [1.5] * 30 + [1.0] * 470
    knots = fit_threshold(views(durations, ratios))
    assert knots.rows() == [(5_000.0, 2.0), (6_000.0, 1.5), (7_000.0, 1.0)]


def test_fewer_views_than_buckets() -> None:
    knots = fit_threshold(views([4_000, 1_000, 2_000], [0.25, 1.0, 0.5]))
    assert knots.rows() == [(1_000.0, 1.0), (2_000.0, 0.5), (4_000.0, 0.25)]


def test_one_view() -> None:
    assert fit_threshold(views([1_000], [0.5])).rows() == [(1_000.0, 0.5)]


def test_no_view_is_refused() -> None:
    with pytest.raises(ContractError, match="at least one view"):
        fit_threshold(views([], []))


def test_bucket_in_which_most_views_last_nothing_still_has_a_threshold() -> None:
    knots = fit_threshold(views([1_000] * 10, [0.0] * 9 + [3.0]))
    assert knots.rows() == [(1_000.0, LEAST_THRESHOLD)]
    label = is_enjoyed(knots, np.array([1_000, 1_000]), np.array([0.0, 0.01]))
    assert label.tolist() == [False, True]


@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.0, 44.0, 0.1 + 0.2, 1 / 3])
def test_only_what_is_above_the_threshold_is_enjoyed(ratio: float) -> None:
    knots = fit_threshold(views([1_234] * 6, [ratio] * 6))
    ratios = np.array([ratio * (1 - 1e-6), ratio, ratio * (1 + 1e-6)])
    label = is_enjoyed(knots, np.array([1_234] * 3), ratios)
    assert label.dtype == np.bool_
    assert label.tolist() == [False, False, True]


def test_label_favours_no_length_when_play_time_does_not_depend_on_it() -> None:
    rng = np.random.default_rng(7)
    n = 100_000
    durations = np.exp(rng.normal(np.log(9_600), 0.6, n)).astype(np.int32) + 1_000
    ratios = rng.lognormal(np.log(7_500), 0.8, n) / durations
    knots = fit_threshold(views(durations, ratios))
    label = is_enjoyed(knots, durations, ratios)
    by_length = np.argsort(durations, kind="stable").reshape(50, -1)
    assert label.mean() == pytest.approx(0.2, abs=0.005)
    assert label[by_length].mean(axis=1) == pytest.approx([0.2] * 50, abs=0.04)
    assert (ratios >= 2)[by_length[0]].mean() > 0.5  # a bare ratio favours the shortest


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400_000), st.floats(0, 600)), min_size=1, max_size=80))
def test_any_views_give_a_curve_that_keeps_its_contract(rows) -> None:
    durations, ratios = zip(*rows, strict=True)
    knots = LabelThreshold.validate(fit_threshold(views(durations, ratios)))
    assert knots.height <= min(BUCKETS, len(set(durations)))
    assert knots["duration_ms"].is_sorted()
    assert np.isfinite(thresholds(knots, 1, 1_000, 400_000)).all()
    label = is_enjoyed(knots, np.array(durations), np.array(ratios))
    assert not label.all()
    shuffled = fit_threshold(views(durations[::-1], ratios[::-1]))
    assert shuffled.equals(knots)
