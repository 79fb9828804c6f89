"""The holdout: which day is backtested, what was first met then, what it proves, by hand."""

from datetime import UTC, date, datetime, timedelta
from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polars.testing import assert_frame_equal

from schemas.evaluation import Holdout as NextDaysTable
from tasks.artifacts.parted_table import PartedTable
from tasks.features.cutoff import SHANGHAI
from tasks.features.holdout import backtest_day_of, first_met, of_same_users
from tasks.features.log_days import days_with_views, views_by_day
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.holdout_metrics import (
    COLD,
    KS,
    LOG_ESTIMATORS,
    WEIGHTED,
    HoldoutSet,
    measure_holdout,
    together,
    weighted_accuracy,
)
from tasks.metrics.ranking import rank
from tests.synthetic_data import literal_world

NAN = np.nan

# --- the day -----------------------------------------------------------------------------------

AS_OF = date(2020, 9, 1)


def viewed(*moments: datetime) -> pl.DataFrame:
    schema = {"viewed_at": pl.Datetime("ms", "UTC")}
    return views_by_day(pl.LazyFrame({"viewed_at": moments}, schema=schema))


def on_days(*days: int) -> pl.DataFrame:
    """Views on these days of August, two a day, at the first and last minute in Shanghai."""
    first = [datetime(2020, 8, day, 0, 1, tzinfo=SHANGHAI) for day in days]
    last = [moment + timedelta(hours=23, minutes=58) for moment in first]
    return viewed(*(moment.astimezone(UTC) for moment in (*last, *first)))


def august(day: int) -> date:
    return date(2020, 8, day)


def test_a_day_ends_at_midnight_in_shanghai_to_the_millisecond():
    midnight = datetime(2020, 8, 3, tzinfo=SHANGHAI)
    before = midnight - timedelta(milliseconds=1)
    assert days_with_views(viewed(before)) == [august(2)]
    assert days_with_views(viewed(midnight)) == [august(3)]
    assert days_with_views(viewed(midnight, before)) == [august(2), august(3)]


@pytest.mark.parametrize(
    ("days", "window", "expected"),
    [
        (range(1, 32), 7, 25),
        (range(1, 32), 1, 31),
        (range(1, 15), 7, 8),  # exactly half
        (range(1, 14), 7, 8),  # of 13 days at most 6
        ((1, 2), 7, 2),
        ((1, 3, 8, 9, 20, 30), 3, 9),  # days without a view do not count
        ((30, 1, 20, 3, 9, 8), 2, 20),  # whatever the order of the log
    ],
)
def test_the_last_days_with_views_are_backtest_at_most_half_of_them(days, window, expected):
    assert backtest_day_of(on_days(*days), AS_OF, window) == august(expected)


@pytest.mark.parametrize("days", [(), (17,)])
def test_with_one_day_or_none_there_is_nothing_to_rehearse(days):
    assert backtest_day_of(on_days(*days), AS_OF, 7) is None


def test_views_from_the_cut_on_do_not_count():
    log = on_days(1, 2, 3, 4, 20, 21, 22)
    assert backtest_day_of(log, august(20), 7) == august(3)
    assert backtest_day_of(log, august(2), 7) is None


def test_days_begin_at_midnight_in_shanghai():
    # 16:00 UTC is the next day in Shanghai
    before, after = datetime(2020, 8, 5, 15, 59, tzinfo=UTC), datetime(2020, 8, 5, 16, tzinfo=UTC)
    assert backtest_day_of(viewed(before, after), AS_OF, 1) == august(6)
    assert backtest_day_of(viewed(before, after), august(6), 1) is None


@given(st.sets(st.integers(1, 31)), st.integers(1, 31))
def test_half_of_the_days_or_more_are_left_to_learn_from(days, window):
    day = backtest_day_of(on_days(*days), AS_OF, window)
    if len(days) < 2:
        assert day is None
        return
    assert day is not None
    backtest = sorted(d for d in days if august(d) >= day)
    assert len(backtest) == min(window, len(days) // 2)
    assert backtest[0] == day.day  # a day with views, so that its models are not another day's


# --- what was first met ------------------------------------------------------------------------


def pairs_frame(*rows: tuple[int, int, float]) -> pl.DataFrame:
    """Return rows of ``user_item``: user_idx, video_idx, enjoyed."""
    return literal_world(rows, (9, 20)).user_item.read()


def test_first_met_is_what_was_not_known():
    met = pairs_frame((0, 1, 1.0), (0, 2, 0.5), (0, 7, 0.0), (2, 1, 0.25), (3, 8, 1.0))
    known = pairs_frame((0, 1, 1.0), (1, 2, 0.0), (2, 2, 0.0)).select("user_idx", "video_idx")
    rows = first_met(met, known, known["video_idx"], pl.Series([2, 5], dtype=pl.Int32))
    assert rows.columns == list(NextDaysTable.to_schema().columns)
    assert NextDaysTable.validate(rows).drop("watch_ratio").rows() == [
        (0, 2, False, False, 0.5),
        (0, 7, False, True, 0.0),
        (2, 1, True, False, 0.25),  # he had not seen it, but user 0 had
        (3, 8, False, True, 1.0),
    ]
    assert rows["watch_ratio"].to_list() == rows["enjoyed"].to_list()  # carried as it was


def test_of_nothing_known_all_is_new_and_cold():
    met = pairs_frame((0, 1, 1.0), (1, 1, 0.0))
    nothing = met.select("user_idx", "video_idx").clear()
    nobody = pl.Series([], dtype=pl.Int32)
    rows = NextDaysTable.validate(first_met(met, nothing, nothing["video_idx"], nobody))
    assert rows.select("is_test", "is_cold").rows() == [(False, True)] * 2


def test_a_slice_of_what_is_known_is_as_good_as_all_of_it():
    met = pairs_frame((2, 1, 1.0), (2, 2, 0.5), (5, 7, 0.0))
    known = pairs_frame((0, 1, 1.0), (2, 2, 0.0), (3, 2, 0.0), (5, 7, 0.0), (6, 1, 0.0))
    known = known.select("user_idx", "video_idx")
    part = of_same_users(known.lazy(), met).collect()
    assert part.rows() == [(2, 2), (3, 2), (5, 7)]
    videos, nobody = known["video_idx"], pl.Series([], dtype=pl.Int32)
    assert first_met(met, part, videos, nobody).equals(first_met(met, known, videos, nobody))
    assert of_same_users(known.lazy(), met.clear()).collect().is_empty()
    assert of_same_users(known.clear().lazy(), met).collect().is_empty()


# --- as arrays ---------------------------------------------------------------------------------


def holdout(test_users: set[int], *rows: tuple[int, int, float]) -> pl.DataFrame:
    """Return rows of ``holdout``: user_idx, video_idx, enjoyed; none is called cold."""
    return pl.DataFrame(
        [(user, video, user in test_users, False, 1.0, enjoyed) for user, video, enjoyed in rows],
        schema={name: c.dtype.type for name, c in NextDaysTable.to_schema().columns.items()},
        orient="row",
    )


def test_tables_are_spread_over_test_users():
    pairs = pairs_frame((1, 0, 1.0), (1, 3, 0.4), (2, 0, 0.5), (4, 2, 1.0), (4, 0, 0.49))
    met = holdout({4, 1}, (4, 0, 0.5), (4, 1, 0.49), (1, 1, 1.0), (2, 1, 1.0), (2, 3, 0))
    days = HoldoutSet.of(PartedTable.of(met), PartedTable.of(pairs), 5)
    true, false = True, False
    np.testing.assert_array_equal(days.user_idx, [1, 4])
    np.testing.assert_array_equal(
        days.unseen, [[false, true, true, false, true], [false, true, false, true, true]]
    )
    np.testing.assert_array_equal(
        days.shown, [[false, true, false, false, false], [true, true, false, false, false]]
    )
    np.testing.assert_array_equal(
        days.enjoyed, [[false, true, false, false, false], [true, false, false, false, false]]
    )
    np.testing.assert_array_equal(days.is_cold, [false, true, false, false, true])
    np.testing.assert_array_equal(days.enjoyed_before, [2, 0, 1, 0, 0])  # all users, half is enough
    np.testing.assert_array_equal(days.viewers_next, [1, 3, 0, 1, 0])


def test_without_test_users_there_is_no_figure():
    days = HoldoutSet.of(
        PartedTable.of(holdout(set(), (0, 1, 1.0))), PartedTable.of(pairs_frame((0, 0, 1.0))), 20
    )
    assert days.unseen.shape == (0, 20)
    assert measure_holdout(days, np.zeros((0, 20), dtype=np.float32)).height == 0


# --- weighted hits -----------------------------------------------------------------------------


def ranked_first(*videos: int) -> np.ndarray:
    """One list of these videos, padded."""
    return np.array([[*videos, *[-1] * (KS[-1] - len(videos))]], dtype=np.int32)


def figures(values) -> dict[tuple[str, int], float]:
    return dict(zip(WEIGHTED, values[0], strict=True))


def test_hits_by_hand():
    """Relevant: 0 of weight 4, 2 of weight 1, 11 of weight 2; found 2 at rank 1, 0 at rank 3."""
    relevant = np.isin(np.arange(12), [0, 2, 11])[None]
    weights = np.ones(12)
    weights[[0, 2, 11]] = [4, 1, 2]
    weights[5] = 100  # not relevant: its weight counts nowhere
    ranked = ranked_first(2, 5, 0, 1, 3, 4, 6, 7, 8, 9, 10, 11)
    got = figures(weighted_accuracy(ranked, relevant, weights))
    ideal = 4 + 2 / log2(3) + 1 / 2
    assert got["recall", 10] == pytest.approx((1 + 4) / 7)
    assert got["ndcg", 10] == pytest.approx((1 + 4 / 2) / ideal)
    for k in (20, 50, 100):  # and 11 at rank 12
        assert got["recall", k] == 1
        assert got["ndcg", k] == pytest.approx((1 + 4 / 2 + 2 / log2(13)) / ideal)


def test_the_heaviest_first_is_best():
    relevant = np.isin(np.arange(30), [3, 20, 29])[None]
    weights = np.linspace(1, 2, 30)
    got = figures(weighted_accuracy(ranked_first(29, 20, 3), relevant, weights))
    assert set(got.values()) == {1.0}
    worse = figures(weighted_accuracy(ranked_first(3, 20, 29), relevant, weights))
    assert worse["recall", 10] == 1
    assert worse["ndcg", 10] < 1


def test_only_as_many_as_fit_are_ideal():
    relevant = np.ones((1, 30), dtype=bool)
    weights = np.r_[np.full(10, 3.0), np.ones(20)]
    got = figures(weighted_accuracy(ranked_first(*range(29, -1, -1)), relevant, weights))
    assert got["recall", 10] == pytest.approx(10 / 50)
    assert got["recall", 20] == pytest.approx(20 / 50)
    assert got["ndcg", 10] == pytest.approx(1 / 3)


def test_without_a_relevant_video_there_is_no_figure_and_without_a_list_no_hit():
    relevant = np.array([[False] * 4, [True] * 4])
    ranked = np.vstack([ranked_first(0, 1), ranked_first()])
    values = weighted_accuracy(ranked, relevant, np.ones(4))
    assert np.isnan(values[0]).all()
    np.testing.assert_array_equal(values[1], 0)


@st.composite
def rankings(draw):
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 130))
    scores = draw(arrays(np.float32, (n, m), elements=st.integers(-9, 9).map(float) | st.just(NAN)))
    candidates = draw(arrays(bool, (n, m)))
    relevant = draw(arrays(bool, (n, m))) & candidates
    return rank(scores, candidates, KS[-1]), relevant, candidates


@given(rankings(), st.sampled_from([1.0, 0.1, 1 / 3, 7.0]))
def test_with_equal_weights_it_is_the_plain_figure(ranking, weight):
    """Where the plain one is defined: for lists longer than the candidates it is not."""
    ranked, relevant, candidates = ranking
    plain = accuracy_at_k(ranked, relevant, KS, candidates)
    expected = np.column_stack([plain.of(metric, k) for metric, k in WEIGHTED])
    got = weighted_accuracy(ranked, relevant, np.full(relevant.shape[1], weight))
    long_enough = np.tile(candidates.sum(axis=1)[:, None] >= np.array(KS), 2)
    np.testing.assert_allclose(got[long_enough], expected[long_enough], atol=1e-12)
    assert np.nanmax(got, initial=0) <= 1


@given(rankings(), st.integers(0, 99))
def test_only_the_proportions_of_weights_matter(ranking, seed):
    ranked, relevant, _ = ranking
    weights = np.random.default_rng(seed).uniform(0.1, 5, relevant.shape[1])
    expected = weighted_accuracy(ranked, relevant, weights)
    np.testing.assert_allclose(
        weighted_accuracy(ranked, relevant, 0.01 * weights), expected, atol=1e-12
    )


# --- a world by hand ---------------------------------------------------------------------------

N_VIDEOS = 30
COLD_VIDEOS = range(18, 30)
"""Nobody saw these twelve before the cut."""


def world_by_hand() -> HoldoutSet:
    """Users 0 and 2 are tested, 1 and 3 to 8 are others; videos 0 to 17 are warm.

    User 0 had seen 0 and 1. He was then shown 2 to 12 and enjoyed 3 and 12; of the cold ones he was
    shown 18 to 28 and enjoyed 20. User 2 had seen 17, and was then shown 4 to 8, of which he
    enjoyed 4, and the cold 18.
    """
    before = [(1, video, 0.0) for video in range(17)]
    before += [(0, 0, 1.0), (0, 1, 0.0), (2, 17, 1.0)]
    crowd = [(user, 3, 1.0) for user in range(10, 50)]  # 40 enjoyed video 3 before
    pairs = literal_world(before + crowd, (60, N_VIDEOS)).user_item
    rows = [(0, video, float(video in (3, 12, 20))) for video in [*range(2, 13), *range(18, 29)]]
    rows += [(2, video, float(video == 4)) for video in [*range(4, 9), 18]]
    rows += [(user, 12, 0.0) for user in range(10, 29)]  # 12 had 20 viewers with user 0
    return HoldoutSet.of(PartedTable.of(holdout({0, 2}, *rows)), pairs, N_VIDEOS)


def by_figure(table: pl.DataFrame) -> dict[tuple[str, str, int, int], float]:
    keys = table.select("label", "metric", "k", "user_idx").rows()
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, table["value"].to_list(), strict=True))


def in_order() -> np.ndarray:
    """Scores by which everybody's list is 0, 1, 2, ...; 5 and 19 cannot be served."""
    scores = np.tile(-np.arange(N_VIDEOS, dtype=np.float32), (2, 1))
    scores[:, [5, 19]] = NAN
    return scores


def test_users_measured_one_after_the_other_are_measured_together():
    days, scores = world_by_hand(), in_order()
    one_by_one = [
        measure_holdout(days.of_users(np.array(users)), scores[rows])
        for users, rows in (([0, 1], slice(1)), ([], slice(0)), ([2, 5], slice(1, 2)))
    ]
    whole = measure_holdout(days, scores)
    assert_frame_equal(together(one_by_one), whole, abs_tol=1e-12)


def test_shown_by_hand():
    """User 0's list: 2 3 4 6 7 8 9 10 11 12; 3 and 12 are found at the ranks 2 and 10."""
    got = by_figure(measure_holdout(world_by_hand(), in_order()))
    shown = {key[1:]: value for key, value in got.items() if key[0] == "exposed_only"}
    ideal = 1 + 1 / log2(3)
    assert shown == pytest.approx(
        {
            ("precision", 10, 0): 2 / 10,
            ("recall", 10, 0): 1.0,
            ("ndcg", 10, 0): (1 / log2(3) + 1 / log2(11)) / ideal,
            ("base_rate", 0, 0): 2 / 11,
            ("served", 0, 0): 10 / 11,
        }
    )  # user 2 was shown five: fewer than a list


def test_cold_by_hand():
    """User 0's list: 18 20 21 ...; 20 is found at rank 2, 19 cannot be served."""
    got = by_figure(measure_holdout(world_by_hand(), in_order()))
    cold = {key[1:]: value for key, value in got.items() if key[0] == COLD}
    assert cold == pytest.approx(
        {
            ("precision", 10, 0): 1 / 10,
            ("recall", 10, 0): 1.0,
            ("ndcg", 10, 0): 1 / log2(3),
            ("base_rate", 0, 0): 1 / 11,
            ("served", 0, 0): 10 / 11,
        }
    )


def test_plain_by_hand():
    """All unseen warm videos are candidates, shown or not.

    User 0's list: 2 3 4 6 7 8 9 10 11 12, of 16 candidates. User 2's: 0 1 2 3 4 6 ..., of 17; 4 is
    found at rank 5.
    """
    got = by_figure(measure_holdout(world_by_hand(), in_order()))
    plain = {key[1:]: value for key, value in got.items() if key[0] == "all_unseen"}
    assert plain == pytest.approx(
        {
            ("precision", 10, 0): 2 / 10,
            ("recall", 10, 0): 1.0,
            ("ndcg", 10, 0): (1 / log2(3) + 1 / log2(11)) / (1 + 1 / log2(3)),
            ("precision", 10, 2): 1 / 10,
            ("recall", 10, 2): 1.0,
            ("ndcg", 10, 2): 1 / log2(6),
        }
    )


def test_corrected_for_popularity_by_hand():
    """40 enjoyed video 3 before and it weighs 40 ** -1/2; nobody 12, which counts as 10."""
    got = by_figure(measure_holdout(world_by_hand(), in_order()[:, ::-1].copy()))
    # the other way round: 17 16 15 14 13 12 11 9 8 7, for user 2 from 16 on
    heavy, light = 10**-0.5, 40**-0.5
    label = "popularity_corrected"
    assert got[label, "recall", 10, 0] == pytest.approx(heavy / (heavy + light))
    ideal = heavy + light / log2(3)
    assert got[label, "ndcg", 10, 0] == pytest.approx(heavy / log2(7) / ideal)
    assert got[label, "recall", 10, 2] == 0


def test_by_inverse_propensity_by_hand():
    """20 were shown video 12, which weighs 1 / 20; one was shown 3, which counts as 10."""
    got = by_figure(measure_holdout(world_by_hand(), in_order()[:, ::-1].copy()))
    label = "inverse_propensity"
    assert got[label, "recall", 10, 0] == pytest.approx((1 / 20) / (1 / 20 + 1 / 10))
    ideal = 1 / 10 + 1 / 20 / log2(3)
    assert got[label, "ndcg", 10, 0] == pytest.approx(1 / 20 / log2(7) / ideal)


def test_every_estimator_says_something_and_figures_keep_their_contract():
    table = measure_holdout(world_by_hand(), in_order())
    assert set(table["label"]) == {*LOG_ESTIMATORS, COLD}
    assert table["value"].is_between(0, 1).all()
    assert table.schema["k"] == pl.Int32


def test_cold_videos_matter_to_cold_alone_and_warm_ones_not_to_it():
    days, scores = world_by_hand(), in_order()
    rng = np.random.default_rng(7)
    other_cold, other_warm = scores.copy(), scores.copy()
    other_cold[:, 18:] = rng.normal(100, 1, (2, 12))
    other_warm[:, :18] = rng.normal(100, 1, (2, 18))
    is_cold = pl.col("label") == COLD
    first, cold, warm = (measure_holdout(days, s) for s in (scores, other_cold, other_warm))
    assert cold.filter(~is_cold).equals(first.filter(~is_cold))
    assert not cold.filter(is_cold).equals(first.filter(is_cold))
    assert warm.filter(is_cold).equals(first.filter(is_cold))
    assert not warm.filter(~is_cold).equals(first.filter(~is_cold))


def test_what_was_seen_before_is_never_a_candidate():
    scores = in_order()
    scores[:, [0, 1, 17]] = 1_000  # seen by user 0, 0, and user 2
    days = world_by_hand()
    table = measure_holdout(days, scores).filter(pl.col("label") == "all_unseen")
    got = by_figure(table)
    assert got["all_unseen", "ndcg", 10, 2] == pytest.approx(1 / log2(6))  # 0 1 2 3 4, without 17
    # 17 is new to user 0: 17 2 3 4 6 7 8 9 10 11
    assert got["all_unseen", "recall", 10, 0] == 0.5
    assert got["all_unseen", "ndcg", 10, 0] == pytest.approx(1 / log2(4) / (1 + 1 / log2(3)))


@pytest.mark.parametrize(("n_shown", "figures_there"), [(9, False), (10, True)])
def test_fewer_than_ten_candidates_prove_nothing(n_shown, figures_there):
    pairs = literal_world([(1, video, 0.0) for video in range(15)], (2, 30)).user_item
    shown = [(0, video, 1.0) for video in [*range(n_shown), *range(15, 15 + n_shown)]]
    table = measure_holdout(
        HoldoutSet.of(PartedTable.of(holdout({0}, *shown)), pairs, 30),
        np.ones((1, 30), dtype=np.float32),
    )
    assert ({"exposed_only", COLD} <= set(table["label"])) == figures_there
    assert "all_unseen" in set(table["label"])
