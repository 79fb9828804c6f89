"""One scale for all, weights only where they are sure, and the network, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from tasks.models.array_file import read_arrays, write_arrays
from tasks.models.blends.context_features import context_features_of
from tasks.models.blends.scale import zscore_by_user, zscore_of_cells
from tasks.models.blends.stacked import Stack
from tasks.models.blends.weights import moments_by_user, select_weights
from tests.synthetic_data import literal_world

NAN = np.nan
CERTAINTY = 0.995

# --- one scale ---------------------------------------------------------------------------------


def test_standardised_by_hand():
    scores = np.array([[1, 3, NAN], [5, 5, 5], [NAN, NAN, NAN], [NAN, 7, NAN]], dtype=np.float32)
    expected = [[-1, 1, NAN], [0, 0, 0], [NAN, NAN, NAN], [NAN, 0, NAN]]
    np.testing.assert_array_equal(zscore_by_user(scores), expected)


def test_some_cells_are_standardised_as_all_are():
    scores = np.array([[1, 3, NAN], [5, 5, 5], [2, 4, 9]], dtype=np.float32)
    rows, columns = np.array([0, 0, 1, 2]), np.array([1, 2, 0, 2])
    got = zscore_of_cells(scores, rows, columns)
    np.testing.assert_array_equal(got, zscore_by_user(scores)[rows, columns])


SCORES = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 20)),
    elements=st.integers(-300, 300).map(lambda n: n / 8) | st.just(NAN),
)


@given(SCORES)
def test_each_row_has_mean_0_and_deviation_1_over_what_is_served(scores):
    before = scores.copy()
    scaled = zscore_by_user(scores)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(scores))
    for row, given_row in zip(scaled, scores, strict=True):
        served = given_row[~np.isnan(given_row)].astype(np.float64)
        if served.size and np.ptp(served) > 0:
            expected = (given_row - np.nanmean(served)) / np.nanstd(served)
            np.testing.assert_allclose(row, expected, atol=1e-5)
            np.testing.assert_allclose([np.nanmean(row), np.nanstd(row)], [0, 1], atol=1e-5)
        else:
            assert not np.nan_to_num(row).any()
    np.testing.assert_array_equal(scores, before)


@given(SCORES, st.sampled_from([0.01, 2.0, 64.0]), st.integers(-50, 50))
def test_another_unit_and_origin_change_nothing(scores, unit, version):
    moved = (scores * unit + version).astype(np.float32)
    np.testing.assert_allclose(zscore_by_user(moved), zscore_by_user(scores), atol=5e-3)


@pytest.mark.parametrize("score", [0.1, 1e-30, -3e7, 1 / 3])
def test_a_constant_row_that_float32_cannot_average_exactly_is_still_0(score):
    scores = np.full((2, 9_973), score, dtype=np.float32)
    scores[1, ::3] = NAN
    scaled = zscore_by_user(scores)
    assert not scaled[0].any()
    assert set(np.unique(scaled[1][~np.isnan(scaled[1])])) == {0.0}


# --- weights -----------------------------------------------------------------------------------


def pairs_of(taste, noise: float, seed: int, n_users: int = 60, each: int = 25):
    """Components of independent scores, and shares enjoyed that follow ``taste``, user by user.

    How much a user enjoys in general, and how high his scores are, is drawn too, and is large.
    """
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), each)
    inputs = rng.normal(size=(len(user), len(taste))) + rng.normal(0, 5, (n_users, 1))[user]
    general = rng.normal(0, 3, n_users)[user]
    enjoyed = inputs @ np.array(taste) + general + rng.normal(0, noise, len(user))
    starts = np.arange(0, len(user), each)
    return inputs.astype(np.float32), enjoyed.astype(np.float32), starts


def centred(values, starts):
    parts = np.split(values.astype(np.float64), starts[1:])
    return np.concatenate([part - part.mean(axis=0) for part in parts])


def regressed(inputs, enjoyed, starts):
    """Return what scikit-learn learns from the pairs, centred by user, as shares."""
    model = LinearRegression(positive=True, fit_intercept=False)
    weights = model.fit(centred(inputs, starts), centred(enjoyed, starts)).coef_
    return weights / weights.sum() if weights.any() else weights


def learned(
    inputs,
    enjoyed,
    starts,
    seed: int = 7,
    min_selection_rate: float = CERTAINTY,
    least: float = 0.0,
):
    return select_weights(moments_by_user(inputs, enjoyed, starts), seed, min_selection_rate, least)


def test_a_component_of_a_small_share_gets_nothing_however_sure():
    pairs = pairs_of([0.6, 0.02], noise=0.01, seed=3)
    sure = learned(*pairs)
    assert 0 < sure[1] < 0.05
    np.testing.assert_array_equal(learned(*pairs, least=0.05), [1, 0])
    np.testing.assert_array_equal(learned(*pairs, least=sure[1] / 2), sure)


def test_moments_by_hand():
    inputs = np.array([[1, 0], [3, 0], [5, 4], [0, 2]], dtype=np.float32)
    enjoyed = np.array([0, 1, 1, 0.5], dtype=np.float32)
    # user 0: centred (-1, 0), (1, 0); user 1: (2.5, 1), (-2.5, -1)
    moments = moments_by_user(inputs, enjoyed, np.array([0, 2]))
    expected = [[[2, 0], [0, 0], [1, 0]], [[12.5, 5], [5, 2], [1.25, 0.5]]]
    np.testing.assert_allclose(moments, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("taste", [[0.5, 0.3, 0.2], [1, -0.5, 0.4, 0], [-1, -1]])
def test_without_a_wish_to_be_sure_it_is_scikit_learns_regression(taste, seed):
    pairs = pairs_of(taste, noise=2.0, seed=seed)
    np.testing.assert_allclose(learned(*pairs, min_selection_rate=0), regressed(*pairs), atol=1e-6)


@given(st.data())
def test_it_is_scikit_learns_regression_on_whatever_there_is(data):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    c = data.draw(st.integers(1, 3))
    grid = st.integers(-20, 20).map(lambda n: n / 4)
    inputs = data.draw(arrays(np.float32, (sum(sizes), c), elements=grid))
    enjoyed = data.draw(arrays(np.float32, sum(sizes), elements=st.sampled_from([0, 0.5, 1])))
    starts = np.cumsum([0, *sizes[:-1]])
    own = centred(inputs, starts)
    assume(np.linalg.matrix_rank(own) == c and np.linalg.cond(own) < 100)
    follows = own.T @ centred(enjoyed, starts)
    assume((abs(follows) > 1e-6).any() or not follows.any())  # no weights made of rounding
    expected = regressed(inputs, enjoyed, starts)
    np.testing.assert_allclose(
        learned(inputs, enjoyed, starts, min_selection_rate=0), expected, atol=1e-5
    )


@pytest.mark.parametrize("seed", range(8))
def test_noise_counts_nothing_and_the_others_keep_their_proportions(seed):
    inputs, enjoyed, starts = pairs_of([0.6, 0, 0.2], noise=1.0, seed=seed)
    weights = learned(inputs, enjoyed, starts, seed=seed)
    assert weights[1] == 0
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights, [0.75, 0, 0.25], atol=0.05)
    alone = regressed(inputs[:, [0, 2]], enjoyed, starts)
    np.testing.assert_allclose(weights[[0, 2]], alone, atol=1e-6)


def test_without_a_wish_to_be_sure_noise_would_often_count():
    weights = [
        learned(*pairs_of([0.6, 0], 1.0, seed), min_selection_rate=0)[1] for seed in range(20)
    ]
    assert 3 <= np.count_nonzero(weights) <= 17  # it falls to either side of 0


@pytest.mark.parametrize("seed", range(3))
def test_a_component_that_hurts_counts_nothing(seed):
    weights = learned(*pairs_of([0.5, -0.4], noise=1.0, seed=seed))
    np.testing.assert_array_equal(weights, [1, 0])


def test_when_all_hurt_nothing_counts():
    np.testing.assert_array_equal(learned(*pairs_of([-0.5, -0.4], noise=1.0, seed=7)), [0, 0])


def test_how_much_a_user_enjoys_in_general_does_not_count():
    """Between users the second component is all that matters, inside a user nothing."""
    inputs, enjoyed, starts = pairs_of([1.0, 0.0], noise=0.5, seed=7)
    user = np.repeat(np.arange(len(starts)), 25)
    rng = np.random.default_rng(7)
    inputs[:, 1] = 10 * user + rng.normal(size=len(user))
    np.testing.assert_array_equal(learned(inputs, enjoyed + 10 * user, starts), [1, 0])


def test_a_component_that_is_there_twice_is_no_accident():
    inputs, enjoyed, starts = pairs_of([0.6, 0.2], noise=0.5, seed=7)
    once = learned(inputs, enjoyed, starts)
    twice = learned(inputs[:, [0, 1, 0]], enjoyed, starts)
    np.testing.assert_allclose([twice[0] + twice[2], twice[1]], once, atol=1e-4)


NOTHING_TO_LEARN = {
    "no pairs": (np.zeros((0, 2)), np.zeros(0), []),
    "one pair a user": (np.arange(8.0).reshape(4, 2), np.array([0, 1, 1, 0]), [0, 1, 2, 3]),
    "inputs all alike": (np.full((6, 2), 0.3), np.array([0, 1, 0, 1, 1, 0]), [0, 3]),
    "enjoyed all alike": (np.array([[1, 4], [2, 1], [4, 2], [3, 3]]), np.full(4, 1.0), [0, 2]),
}


@pytest.mark.parametrize("case", NOTHING_TO_LEARN)
def test_where_nothing_can_be_learned_nothing_counts(case):
    inputs, enjoyed, starts = NOTHING_TO_LEARN[case]
    weights = learned(
        inputs.astype(np.float32), enjoyed.astype(np.float32), np.array(starts, dtype=np.int64)
    )
    np.testing.assert_array_equal(weights, [0, 0])


def test_the_same_seed_gives_the_same_weights_and_the_draws_follow_the_seed():
    pairs = pairs_of([0.3, 0.04, 0.02, 0.03], noise=1.0, seed=3)
    by_seed = [tuple(learned(*pairs, seed=seed, min_selection_rate=0.95)) for seed in range(6)]
    again = [tuple(learned(*pairs, seed=seed, min_selection_rate=0.95)) for seed in range(6)]
    assert again == by_seed
    assert len(set(by_seed)) > 1  # what is hardly sure depends on the draws


# --- network -----------------------------------------------------------------------------------


def tastes(n: int = 3_000, seed: int = 7):
    """Inputs of different scales, and pairs enjoyed where the first and the third agree."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal([0, 5, -2], [1, 30, 0.1], (n, 3)).astype(np.float32)
    odds = 3 * inputs[:, 0] * (inputs[:, 2] + 2) / 0.1
    return inputs, rng.random(n) < 1 / (1 + np.exp(-odds))


def test_log_odds_are_those_of_scikit_learn_up_to_a_constant():
    inputs, enjoyed = tastes()
    stack = Stack.fit(inputs, enjoyed, units=8, epochs=40, seed=7)
    scaler = StandardScaler().fit(inputs.astype(np.float64))
    settings = {"alpha": 1e-3, "batch_size": 1024, "learning_rate_init": 3e-3, "max_iter": 40}
    network = MLPClassifier((8,), **settings, shuffle=False, random_state=7)
    with pytest.warns(ConvergenceWarning):
        network.fit(scaler.transform(inputs).astype(np.float32), enjoyed)
    asked = tastes(500, seed=8)[0]
    shares = network.predict_proba(scaler.transform(asked).astype(np.float32)).astype(np.float64)
    expected = np.log(shares[:, 1]) - np.log(shares[:, 0])
    got = stack.log_odds(asked).astype(np.float64)
    assert np.ptp(expected) > 2  # it has learned something
    np.testing.assert_allclose(got - got.mean(), expected - expected.mean(), atol=1e-4)


def test_it_learns_what_no_weighted_sum_can():
    inputs, enjoyed = tastes()
    odds = Stack.fit(inputs, enjoyed, units=16, epochs=150, seed=7).log_odds(inputs)
    assert np.corrcoef(odds, inputs[:, 0] * (inputs[:, 2] + 2))[0, 1] > 0.9
    assert abs(np.corrcoef(inputs[:, 0], enjoyed)[0, 1]) < 0.1


def test_the_arrays_survive_a_file(tmp_path):
    stack = Stack.fit(*tastes(), units=4, epochs=3, seed=7)
    write_arrays(tmp_path / "stack", vars(stack))
    loaded = Stack(**read_arrays(tmp_path / "stack", vars(stack)))
    asked = tastes(50, seed=8)[0]
    assert {array.dtype for array in vars(loaded).values()} == {np.dtype(np.float32)}
    assert [array.shape for array in vars(loaded).values()] == [(3,), (3,), (3, 4), (4,), (4,)]
    np.testing.assert_array_equal(loaded.log_odds(asked), stack.log_odds(asked))


def test_it_follows_the_seed_and_nothing_else():
    first, again, other = (Stack.fit(*tastes(), units=4, epochs=3, seed=s) for s in (7, 7, 8))
    asked = tastes(50, seed=8)[0]
    np.testing.assert_array_equal(again.log_odds(asked), first.log_odds(asked))
    assert not np.array_equal(other.log_odds(asked), first.log_odds(asked))


@pytest.mark.parametrize("constant", [0.0, 0.1, 9.6, -1 / 3])
def test_an_input_that_was_always_the_same_does_no_harm(constant):
    """Even if it is another one later: most float32 sums of a constant are not its multiples."""
    inputs, enjoyed = tastes(20_000)
    with_constant = np.column_stack([inputs, np.full(len(inputs), constant, dtype=np.float32)])
    stack = Stack.fit(with_constant, enjoyed, units=8, epochs=5, seed=7)
    assert stack.mean[3] == np.float32(constant)
    assert stack.deviation[3] == 1
    asked = with_constant[:100].copy()
    expected = stack.log_odds(asked)
    asked[:, 3] += 0.01
    np.testing.assert_allclose(stack.log_odds(asked), expected, atol=0.1)


# --- context features -------------------------------------------------------------------


def test_traits_by_hand():
    world = literal_world(
        [(0, 0, 1), (0, 1, 0), (2, 1, 1)],
        (3, 3),
        views=[1, 4, 2],
        videos={"duration_ms": [1_000, None, 100_000]},
    )
    users, videos = context_features_of(world.users, world.videos)
    assert users.dtype == videos.dtype == np.float32
    np.testing.assert_allclose(users, np.log([[6], [1], [3]]), rtol=1e-6)
    # the length of video 1 is not known: the mean of the logs is the log of 10 s
    expected = np.log([[2, 1_000], [7, 10_000], [1, 100_000]])
    np.testing.assert_allclose(videos, expected, rtol=1e-6)


def test_without_any_length_all_are_alike():
    world = literal_world([(0, 0, 1)], (1, 2))
    np.testing.assert_array_equal(context_features_of(world.users, world.videos)[1][:, 1], [0, 0])
