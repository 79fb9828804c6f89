"""A simulated live test: its lists by hand, its test scipy's, its power that of the textbook."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from schemas.live_test import LiveTestSize
from tasks.artifacts.writer import validated
from tasks.metrics.ab_test import (
    ALPHA,
    DAYS,
    FUTURES,
    LONGEST,
    TESTS,
    Sums,
    halves,
    is_significant,
    live_test_of,
    share_rows,
    shares_by_visits,
    shares_of,
    simulated_tests,
    smallest_tests,
    spread,
    visits_by,
    words_for,
)

MOST = max(DAYS)


def test_shares_by_hand():
    """Of 30 videos user 0 enjoys the first 5 and 15 to 20, user 1 has a list of 12, user 2 none."""
    enjoyed = np.zeros((3, 30), dtype=bool)
    enjoyed[0, [*range(5), *range(15, 20)]] = True
    enjoyed[1, :3] = True
    ranked = np.full((3, LONGEST), -1, dtype=np.int32)
    ranked[0, :30] = np.arange(30)
    ranked[1, :12] = np.arange(12)
    shares = shares_by_visits(ranked, enjoyed)
    assert shares.shape == (3, MOST)
    np.testing.assert_allclose(shares[0, :4], [5 / 10, 10 / 20, 10 / 30, 10 / 30])
    np.testing.assert_allclose(shares[1, :3], [3 / 10, 3 / 12, 3 / 12])
    assert not shares[2].any()


def test_rows_of_shares_keep_them():
    shares = np.random.default_rng(1).random((3, MOST))
    index = pl.DataFrame({"user_idx": [2, 5, 7], "user_id": [20, 50, 70]}).cast(pl.Int32)
    rows = share_rows(shares, "als", np.array([2, 5, 7], dtype=np.int32), index)
    np.testing.assert_array_equal(spread(rows), shares)
    assert rows.row(MOST) == ("als", 50, 1, shares[1, 0])


def test_users_come_on_their_share_of_days():
    activity = np.array([0.0, 0.3, 1.0])
    visits = visits_by(np.repeat(activity, 200), np.random.default_rng(1))
    by_user = visits.reshape(len(DAYS), 3, 200 * FUTURES)
    expected = np.array(DAYS)[:, None] * activity
    np.testing.assert_allclose(by_user.mean(axis=2), expected, rtol=0.03)
    np.testing.assert_array_equal(by_user[:, 2, 0], DAYS)


def sums(values) -> Sums:
    return Sums(*(np.array([[np.sum(values**power)]]) for power in (0.0, 1.0, 2.0)))


def test_significance_is_scipys():
    rng = np.random.default_rng(2)
    found, expected = [], []
    for _ in range(200):
        one, other = rng.normal(0.3, 1, rng.integers(3, 30)), rng.normal(0, 2, rng.integers(3, 30))
        found.append(bool(is_significant(sums(one), sums(other))[0, 0]))
        expected.append(stats.ttest_ind(one, other, equal_var=False).pvalue < ALPHA)
    assert found == expected
    assert 0 < sum(found) < 200


@pytest.mark.parametrize("values", [[], [0.7], [0.2, 0.2, 0.2]])
def test_nobody_or_nobody_who_differs_is_no_news(values):
    half = np.array(values)
    assert not is_significant(sums(half), sums(half)).any()
    assert not is_significant(sums(half[:1]), sums(np.array([0.1, 0.2]))).any()


def population(effect, n=800):
    """Users whose share is the same on all visits, and what it is with a better model."""
    theirs = np.tile(np.random.default_rng(3).beta(8, 12, size=n)[:, None], (1, MOST))
    return theirs + effect, theirs


def textbook_power(effect, deviation, n) -> float:
    """Power of a two-sided t-test of two halves of n users each."""
    freedom, centre = 2 * n - 2, effect / (deviation * np.sqrt(2 / n))
    critical = stats.t.ppf(1 - ALPHA / 2, freedom)
    return 1 - stats.nct.cdf(critical, freedom, centre) + stats.nct.cdf(-critical, freedom, centre)


def test_power_is_that_of_the_textbook_and_the_difference_the_planted_one():
    ours, theirs = population(0.02)
    found = simulated_tests(ours, theirs, np.ones(len(ours)), seed=4)
    assert found["users"].unique().sort().to_list() == [100, 200, 400, 800, 1600, 4000, 8000]
    assert found["difference"].to_list() == pytest.approx([0.02] * found.height)
    assert found["baseline_share"].to_list() == pytest.approx([theirs.mean()] * found.height)
    for row in found.filter(pl.col("users") <= 1600, days=1).iter_rows(named=True):
        expected = textbook_power(0.02, theirs[:, 0].std(), row["users"] / 2)
        error = np.sqrt(expected * (1 - expected) / TESTS)
        assert row["power"] == pytest.approx(expected, abs=3.5 * error + 0.003)
        assert row["power_low"] <= row["power"] <= row["power_high"]
    # users come every day and each visit is alike: a longer test sees the same
    assert found.partition_by("days", include_key=False)[0].equals(
        found.partition_by("days", include_key=False)[-1]
    )


def test_false_alarms_are_5_in_100_and_their_intervals_hold_that():
    """On lists whose worth falls with every visit, users who come now and then: 6,000 A/A tests."""
    rng = np.random.default_rng(5)
    taste = rng.beta(2, 3, size=(300, 1))
    shares = np.clip(taste - 0.01 * np.arange(MOST), 0, 1)
    activity = rng.random(300)
    alarms, holds = [], []
    for seed in range(15):
        found = simulated_tests(shares, shares, activity, seed)
        assert found["difference"].unique().to_list() == [0.0]
        all_users = found.filter(users=300, days=3)
        alarms.append(all_users["false_alarms"].item() * TESTS)
        low, high = found["false_alarms_low"], found["false_alarms_high"]
        holds.append(((low <= ALPHA) & (high >= ALPHA)).mean())
    assert stats.binomtest(round(sum(alarms)), 15 * TESTS, ALPHA).pvalue > 0.01
    assert np.mean(holds) > 0.9


def test_more_days_help_where_each_visit_is_a_draw():
    rng = np.random.default_rng(6)
    draws = rng.random((300, MOST, 10))
    steps = np.arange(1, MOST + 1)
    ours, theirs = ((draws < p).mean(axis=2).cumsum(axis=1) / steps for p in (0.33, 0.3))
    found = simulated_tests(ours, theirs, np.full(300, 0.9), seed=1).filter(users=300)
    assert found["power"].is_sorted()
    assert found["power"][-1] > found["power"][0] + 0.3


def test_the_seed_decides():
    ours, theirs = population(0.02, n=60)
    first, again, other = (
        simulated_tests(ours, theirs, np.full(60, 0.5), seed) for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_where_nobody_comes_nothing_is_seen():
    ours, theirs = population(0.2, n=20)
    found = simulated_tests(ours, theirs, np.zeros(20), seed=1)
    assert found["power"].sum() == found["false_alarms"].sum() == 0
    assert found["difference"].null_count() == found.height


def test_a_test_has_two_users_in_each_half_or_more():
    assert halves(3).tolist() == [2, 3, 8, 15]
    assert halves(1130).tolist() == [71, 141, 282, 565, 1130, 2825, 5650]


def test_the_cheapest_test_that_is_enough():
    rows = [
        ("als", 100, 14, 0.79),
        ("als", 1000, 2, 0.81),  # 2,000 days of users
        ("als", 400, 3, 0.8),  # 1,200
        ("als", 200, 7, 0.95),  # 1,400
        ("popularity", 100, 1, 0.1),
    ]
    found = smallest_tests(pl.DataFrame(rows, ["baseline", "users", "days", "power"], orient="row"))
    assert found == {"als": LiveTestSize(users=400, days=3), "popularity": None}
    assert words_for("hybrid", found) == [
        f"a live test of hybrid against {needs} (power 0.8, simulated)"
        for needs in (
            "als would need about 400 users for 3 days",
            "popularity would need more than 10 times the test users for 14 days",
        )
    ]


def test_intervals_of_shares_are_scipys():
    counts = np.array([[0, 20], [399, TESTS]])
    found = shares_of(counts, "power")
    ends = [stats.binomtest(int(n), TESTS).proportion_ci() for n in counts.ravel()]
    assert found["power"].to_list() == [0, 0.05, 399 / 400, 1]
    assert found["power_low"].to_list() == pytest.approx([end.low for end in ends])
    assert found["power_high"].to_list() == pytest.approx([end.high for end in ends])


def test_the_table_has_all_sizes_by_the_model_compared_with():
    ours, theirs = population(0.02, n=40)
    shares = {"hybrid": ours, "popularity": theirs, "als": ours}
    activity = np.full(40, 0.5)
    found = validated(live_test_of(shares, "hybrid", activity, 0.15, seed=1), "live_test")
    assert found["baseline"].unique(maintain_order=True).to_list() == ["popularity", "als"]
    sizes = found.select("baseline", "users", "days").unique().height
    assert sizes == found.height == 2 * len(DAYS) * len(halves(40))
    alone = validated(live_test_of({"als": ours}, "als", activity, 0.15, seed=1), "live_test")
    assert alone.is_empty()
    assert smallest_tests(alone) == {}
