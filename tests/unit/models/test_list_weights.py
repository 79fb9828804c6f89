"""Steps from least squares' weights to those that make the better lists."""

import numpy as np
import pytest

from tasks.models.blends.list_weights import FACTORS, MOST_STEPS, NEWCOMER, improve_weights

ALL = np.array([True, True, True])


def peaked(best, users: int = 40, noise: float = 0.0, seed: int = 3):
    """Figures that fall with the distance from the weights ``best``, the same noise each time."""
    off = np.random.default_rng(seed).normal(0, 1, (users, len(best)))

    def ndcg(weights):
        return -np.abs(weights - best).sum() + noise * off @ weights

    return ndcg


def test_it_goes_where_the_figures_lead():
    best = np.array([0.8, 0.2, 0.0])
    found = improve_weights(np.array([0.5, 0.25, 0.25]), peaked(best), ALL, seed=1)
    np.testing.assert_allclose(found, best, atol=0.05)
    assert found.sum() == pytest.approx(1)


def test_a_newcomer_joins_one_that_is_alone():
    best = np.array([0.8, 0.0, 0.2])
    found = improve_weights(np.array([1.0, 0, 0]), peaked(best), ALL, seed=1)
    np.testing.assert_allclose(found, [1 / (1 + NEWCOMER), 0, NEWCOMER / (1 + NEWCOMER)])


def test_what_is_not_sure_is_not_done():
    """The mean of each step's gain is the same as above, but users differ by far more."""
    start = np.array([0.5, 0.25, 0.25])
    loud = peaked(np.array([0.8, 0.2, 0.0]), noise=20)
    assert improve_weights(start, loud, ALL, seed=1).tolist() == start.tolist()


def test_by_hand():
    """Three users; without b two gain .1 and one .3: sure. By doubling a: .05, .05 and -.2."""
    start = np.array([0.5, 0.5])
    gains = {
        (0.0, 1.0): [-0.1, -0.1, -0.1],
        (1.0, 0.0): [0.1, 0.1, 0.3],
        (2 / 3, 1 / 3): [0.05, 0.05, -0.2],
    }

    def ndcg(weights):
        return np.array(gains.get(tuple(weights), [0, 0, 0]), dtype=float)

    assert improve_weights(start, ndcg, ALL[:2], seed=1).tolist() == [1, 0]
    assert improve_weights(start, ndcg, np.array([True, False]), seed=1).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("figures", [np.full(5, np.nan), np.zeros(0), np.array([0.5])])
def test_too_few_users_change_nothing(figures):
    start = np.array([0.7, 0.3])
    assert improve_weights(start, lambda _: figures, ALL[:2], seed=1).tolist() == [0.7, 0.3]


def test_it_ends():
    """Each step of this one seems better than the last."""
    asked = []

    def ever_better(weights):
        asked.append(weights)
        return np.full(3, float(len(asked)))

    improve_weights(np.array([0.5, 0.5]), ever_better, ALL[:2], seed=1)
    assert len(asked) <= 1 + MOST_STEPS * 2 * len(FACTORS)
