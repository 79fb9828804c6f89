"""Bootstrap intervals: by hand, paired, with NaN, and above all that they hold what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.metrics import bootstrap as intervals
from tasks.metrics.bootstrap import bootstrap_mean, win_rate

NAN = np.nan
N_USERS, N_WORLDS = 400, 1000


def ndcg_like(rng):
    """Most users near 0, a few high: the skew of per-user NDCG@10 at a low base rate."""
    is_zero = rng.random((N_USERS, N_WORLDS)) < 0.3
    return np.where(is_zero, 0.0, rng.beta(1.2, 3.0, size=is_zero.shape)), 0.7 * 1.2 / 4.2


def precision_like(rng):
    return rng.binomial(10, 0.05, size=(N_USERS, N_WORLDS)) / 10, 0.05


def normal(rng):
    return rng.normal(0.3, 2.0, size=(N_USERS, N_WORLDS)), 0.3


def paired_difference(rng):
    """Two models on the same users: strongly correlated, really 0.02 apart."""
    taste = rng.beta(1.2, 3.0, size=(N_USERS, N_WORLDS))
    a, b = (taste + rng.normal(shift, 0.1, size=taste.shape) for shift in (0.02, 0.0))
    return a - b, 0.02


@pytest.mark.parametrize("world", [ndcg_like, precision_like, normal, paired_difference])
def test_a_95_percent_interval_holds_the_truth_95_times_in_100(world):
    values, truth = world(np.random.default_rng(20200705))
    _, low, high = bootstrap_mean(values, seed=1)
    share = ((low <= truth) & (truth <= high)).mean()
    assert 0.93 <= share <= 0.97


def test_width_is_that_of_the_standard_error():
    values = np.random.default_rng(0).normal(size=(2000, 20))
    mean, low, high = bootstrap_mean(values, seed=0, draws=4000)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    expected = 2 * 1.959964 * values.std(axis=0) / np.sqrt(2000)
    np.testing.assert_allclose(high - low, expected, rtol=0.06)


def test_two_users_by_hand():
    """Of four equally likely resamples one is (0, 0), one (1, 1) and two average to 1/2."""
    mean, low, high = bootstrap_mean(np.array([[0.0], [1.0]]), seed=0, level=0.4)
    assert (mean[0], low[0], high[0]) == (0.5, 0.5, 0.5)
    mean, low, high = bootstrap_mean(np.array([[0.0], [1.0]]), seed=0, level=0.8)
    assert (mean[0], low[0], high[0]) == (0.5, 0.0, 1.0)


def test_all_columns_share_their_resamples():
    """So that the interval of a difference is paired, whichever columns stand beside it."""
    rng = np.random.default_rng(0)
    a = rng.random((300, 1))
    twice = bootstrap_mean(np.hstack([a, a + 5, rng.random((300, 3))]), seed=3)
    alone = bootstrap_mean(a, seed=3)
    np.testing.assert_allclose(twice.low[0], alone.low[0], rtol=1e-12)
    np.testing.assert_allclose(twice.high[1] - 5, alone.high[0], rtol=1e-12)


def test_a_constant_difference_has_an_interval_of_no_width():
    _, low, high = bootstrap_mean(np.full((50, 1), 0.25), seed=0)
    assert (low[0], high[0]) == (0.25, 0.25)


def test_users_with_nan_are_left_out_of_their_column_only():
    rng = np.random.default_rng(0)
    full = rng.random((400, 1))
    holed = full.copy()
    holed[:100] = NAN
    mean, low, high = bootstrap_mean(np.hstack([full, holed]), seed=0)
    np.testing.assert_allclose(mean, [full.mean(), full[100:].mean()])
    alone = bootstrap_mean(full[100:], seed=0)
    assert low[0] == pytest.approx(bootstrap_mean(full, seed=0).low[0], rel=1e-12)
    assert high[1] - low[1] == pytest.approx(alone.high[0] - alone.low[0], rel=0.1)


@pytest.mark.parametrize(
    ("column", "mean"),
    [([], NAN), ([NAN, NAN], NAN), ([0.7], 0.7), ([NAN, 0.7, NAN], 0.7)],
)
def test_fewer_than_two_users_have_no_interval(column, mean):
    result = bootstrap_mean(np.array(column).reshape(-1, 1), seed=0)
    np.testing.assert_array_equal([x[0] for x in result], [mean, NAN, NAN])


def test_a_column_of_one_user_has_no_interval_beside_a_full_one():
    values = np.array([[0.1, 0.7], [0.3, NAN], [0.5, NAN]])
    mean, low, high = bootstrap_mean(values, seed=0)
    np.testing.assert_allclose(mean, [0.3, 0.7])
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True]


def test_resamples_that_draw_no_known_user_are_no_warning():
    values = np.full((40, 2), NAN)
    values[:2] = 0.5
    for seed in range(20):
        _, low, high = bootstrap_mean(values, seed=seed, draws=1)
        assert set(low[~np.isnan(low)]) <= {0.5}
        np.testing.assert_array_equal(low, high)


def test_no_columns():
    assert [len(x) for x in bootstrap_mean(np.zeros((5, 0)), seed=0)] == [0, 0, 0]


def test_the_seed_decides_and_blocks_do_not(monkeypatch):
    values = np.random.default_rng(0).random((101, 4))
    first = np.array(bootstrap_mean(values, seed=5))
    assert (np.array(bootstrap_mean(values, seed=6)) != first)[1:].any()
    monkeypatch.setattr(intervals, "BLOCK_COUNTS", 1000)
    np.testing.assert_allclose(np.array(bootstrap_mean(values, seed=5)), first, rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (np.zeros(3), {}),
        (np.array([[np.inf], [1.0]]), {}),
        (np.zeros((3, 1)), {"draws": 0}),
        (np.zeros((3, 1)), {"level": 1.0}),
    ],
)
def test_wrong_arguments_are_refused(values, options):
    with pytest.raises(ValueError, match="must be"):
        bootstrap_mean(values, seed=0, **options)


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.just(NAN) | st.floats(-1, 1),
    )
)
def test_the_interval_lies_within_the_values_and_grows_with_the_level(values):
    _, low, high = bootstrap_mean(values, seed=0, draws=200, level=0.95)
    _, low_50, high_50 = bootstrap_mean(values, seed=0, draws=200, level=0.5)
    for column, known in enumerate(~np.isnan(values).T):
        if known.sum() < 2:
            continue
        kept = values[known, column]
        ends = [kept.min() - 1e-9, low[column], low_50[column], high_50[column], high[column]]
        assert (np.diff([*ends, kept.max() + 1e-9]) >= 0).all()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [0, 2, 4, 3], (1 + 0.5 + 0 + 1) / 4),
        ([1, NAN, 3], [0, 0, NAN], 1.0),
        ([NAN], [1], NAN),
        ([], [], NAN),
    ],
)
def test_win_rate(a, b, expected):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    np.testing.assert_array_equal(win_rate(a, b), expected)
    np.testing.assert_allclose(win_rate(b, a), 1 - expected)


def test_win_rate_needs_the_same_users():
    with pytest.raises(ValueError, match="one figure a user"):
        win_rate(np.zeros(2), np.zeros(3))
