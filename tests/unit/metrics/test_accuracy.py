"""Precision, recall and NDCG by hand, and what must hold for every list."""

from itertools import pairwise
from math import log2

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.metrics import accuracy as accuracy_module
from tasks.metrics.accuracy import accuracy_at_k, oracle_scores
from tasks.metrics.ranking import rank
from tasks.metrics.registry import METRICS

NAN = np.nan


def bools(*rows):
    return np.array([[mark == "x" for mark in row] for row in rows])


def lists(*rows):
    return np.array(rows, dtype=np.int32)


@st.composite
def worlds(draw):
    """Scores, candidates and what is relevant among them, for a few users and videos."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
    scores = draw(hnp.arrays(np.float32, shape, elements=st.integers(-3, 3).map(float)))
    candidates = draw(hnp.arrays(np.bool_, shape))
    relevant = draw(hnp.arrays(np.bool_, shape)) & candidates
    return scores, candidates, relevant, list(range(1, shape[1] + 1))


def test_three_users_by_hand():
    relevant = bools("x.x..", ".....", "xxxxx")
    accuracy = accuracy_at_k(lists([2, 1, 0, 3], [0, 1, 2, 3], [4, 3, 2, 1]), relevant, [1, 3])
    d2, d3 = 1 / log2(3), 1 / log2(4)
    expected = {
        ("precision", 1): [1, 0, 1],
        ("precision", 3): [2 / 3, 0, 1],
        ("recall", 1): [1 / 2, NAN, 1 / 5],
        ("recall", 3): [1, NAN, 3 / 5],
        ("ndcg", 1): [1, NAN, 1],
        ("ndcg", 3): [(1 + d3) / (1 + d2), NAN, 1],
    }
    assert accuracy.columns == tuple(expected)
    for column, figures in expected.items():
        np.testing.assert_allclose(accuracy.of(*column), figures, rtol=1e-12)
    assert accuracy.values.shape == (3, 6)
    assert accuracy.n_relevant.tolist() == [2, 0, 5]
    assert accuracy.n_users_without_relevant == 1
    np.testing.assert_allclose(accuracy.base_rate, [0.4, 0, 1])


def test_the_notebooks_example_a_random_list_has_the_base_rate():
    """1,000 relevant of 3,315 and 1,000 shown: a random list scores .30, as the design says."""
    rng = np.random.default_rng(0)
    relevant = np.zeros((200, 3315), dtype=bool)
    relevant[:, :1000] = True
    ranked = rank(rng.random(relevant.shape, dtype=np.float32))
    accuracy = accuracy_at_k(ranked, relevant, [1000])
    assert accuracy.base_rate == pytest.approx(1000 / 3315)
    assert accuracy.of("precision", 1000).mean() == pytest.approx(1000 / 3315, abs=0.005)
    assert accuracy.of("recall", 1000).mean() == pytest.approx(1000 / 3315, abs=0.005)


def test_a_list_without_a_hit_scores_zero():
    """The notebook's micro average gave .997 here."""
    accuracy = accuracy_at_k(lists([2, 3]), bools("xx.."), [1, 2])
    assert accuracy.values.tolist() == [[0.0] * 6]


def test_padding_is_a_miss():
    relevant = bools("x..x", "...x")
    accuracy = accuracy_at_k(lists([0, -1, -1, -1], [-1, -1, -1, -1]), relevant, [2, 4])
    assert accuracy.of("precision", 4).tolist() == [0.25, 0]
    assert accuracy.of("recall", 4).tolist() == [0.5, 0]
    np.testing.assert_allclose(accuracy.of("ndcg", 2), [1 / (1 + 1 / log2(3)), 0])


def test_k_above_the_users_candidates_is_nan_even_if_the_model_serves_fewer():
    candidates = bools("xxx.", "xx..")
    relevant = bools("x...", ".x..")
    ranked = lists([0, -1, -1, -1], [1, 0, -1, -1])
    accuracy = accuracy_at_k(ranked, relevant, [2, 3, 50], candidates)
    for metric in METRICS:
        assert np.isnan(accuracy.of(metric.name, 2)).tolist() == [False, False]
        assert np.isnan(accuracy.of(metric.name, 3)).tolist() == [False, True]
        assert np.isnan(accuracy.of(metric.name, 50)).all()
    np.testing.assert_allclose(accuracy.base_rate, [1 / 3, 1 / 2])


def test_nobody_and_nothing():
    nobody = accuracy_at_k(np.zeros((0, 4), np.int32), np.zeros((0, 4), bool), [2])
    assert nobody.values.shape == (0, 3)
    nothing = accuracy_at_k(np.full((2, 4), -1, np.int32), np.zeros((2, 0), bool), [2])
    assert np.isnan(nothing.values).all()
    assert np.isnan(nothing.base_rate).all()


@pytest.mark.parametrize("ks", [[], [0, 1], [2, 2]])
def test_wrong_ks_are_refused(ks):
    with pytest.raises(ValueError, match="ks must be"):
        accuracy_at_k(lists([0, 1]), bools("x."), ks)


def test_lists_too_short_for_k_are_refused():
    with pytest.raises(ValueError, match="lists of 2 videos cannot be measured at k=3"):
        accuracy_at_k(lists([0, 1]), bools("x..."), [1, 3, 5])


def test_relevant_videos_that_are_no_candidates_are_refused():
    with pytest.raises(ValueError, match="2 cells are relevant but no candidates"):
        accuracy_at_k(lists([0, 1, 2]), bools("xxx"), [1], bools("x.."))


def test_an_unmeasured_figure_is_refused():
    with pytest.raises(ValueError, match="not in tuple"):
        accuracy_at_k(lists([0, 1]), bools("x."), [1]).of("precision", 2)


@settings(deadline=None, max_examples=50)
@given(worlds())
def test_bounds_and_ends(world):
    scores, candidates, relevant, ks = world
    accuracy = accuracy_at_k(rank(scores, candidates), relevant, ks, candidates)
    known = accuracy.values[~np.isnan(accuracy.values)]
    assert ((known >= 0) & (known <= 1 + 1e-12)).all()
    n_candidates = candidates.sum(axis=1)
    for user, n in enumerate(n_candidates):
        if n:  # the whole candidate set is shown
            assert accuracy.of("precision", n)[user] == pytest.approx(accuracy.base_rate[user])
            if relevant[user].any():
                assert accuracy.of("recall", n)[user] == 1
    for k, next_k in pairwise(ks):
        grown = accuracy.of("recall", next_k) - accuracy.of("recall", k)
        assert not (grown < 0).any()


@settings(deadline=None, max_examples=50)
@given(worlds())
def test_the_oracle_is_perfect_and_nobody_is_better(world):
    scores, candidates, relevant, ks = world
    best = accuracy_at_k(rank(oracle_scores(relevant), candidates), relevant, ks, candidates)
    model = accuracy_at_k(rank(scores, candidates), relevant, ks, candidates)
    for k in ks:
        known = best.of("ndcg", k)[~np.isnan(best.of("ndcg", k))]
        np.testing.assert_allclose(known, 1, rtol=1e-12)
    assert not (model.values > best.values + 1e-12).any()


@settings(deadline=None, max_examples=50)
@given(worlds(), st.data())
def test_moving_a_hit_up_never_hurts_and_raises_ndcg(world, data):
    scores, _, relevant, ks = world
    ranked = rank(scores)
    hit_places = [r for r in ks[1:] if relevant[0, ranked[0, r - 1]]]
    assume(hit_places)
    lower = data.draw(st.sampled_from(hit_places)) - 1
    upper = data.draw(st.integers(0, lower - 1))
    assume(not relevant[0, ranked[0, upper]])
    better = ranked.copy()
    better[0, [upper, lower]] = ranked[0, [lower, upper]]
    before, after = (accuracy_at_k(x, relevant, ks) for x in (ranked, better))
    assert (after.values[0] >= before.values[0]).all()
    assert after.of("ndcg", ks[-1])[0] > before.of("ndcg", ks[-1])[0]


@settings(deadline=None, max_examples=50)
@given(worlds(), st.randoms(use_true_random=False))
def test_users_do_not_influence_each_other(world, random):
    scores, candidates, relevant, ks = world
    order = random.sample(range(len(scores)), len(scores))
    whole = accuracy_at_k(rank(scores, candidates), relevant, ks, candidates)
    shuffled = accuracy_at_k(
        rank(scores[order], candidates[order]), relevant[order], ks, candidates[order]
    )
    np.testing.assert_array_equal(shuffled.values, whole.values[order])


@settings(deadline=None, max_examples=50)
@given(worlds())
def test_other_ks_asked_at_the_same_time_change_nothing(world):
    scores, candidates, relevant, ks = world
    ranked = rank(scores, candidates)
    together = accuracy_at_k(ranked, relevant, ks[::-1], candidates)
    for k in ks:
        alone = accuracy_at_k(ranked, relevant, [k], candidates)
        for metric in METRICS:
            np.testing.assert_allclose(
                together.of(metric.name, k), alone.of(metric.name, k), rtol=1e-12
            )


def test_blocks_of_users_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    ranked, relevant = rank(rng.random((37, 11), dtype=np.float32)), rng.random((37, 11)) < 0.3
    whole = accuracy_at_k(ranked, relevant, [1, 5, 11])
    monkeypatch.setattr(accuracy_module, "BLOCK_CELLS", 40)
    np.testing.assert_allclose(accuracy_at_k(ranked, relevant, [1, 5, 11]).values, whole.values)
