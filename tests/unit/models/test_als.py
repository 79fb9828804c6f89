"""ALS: what it is given, what it leaves out, and a taste that can be seen with the naked eye."""

import numpy as np
import pytest

from schemas.model_settings import ALSConfig
from tasks.models.als import ALS, factorise, penalised
from tests.synthetic_data import literal_world, small_world

TINY = ALSConfig(factors=4, iterations=10)


PAIRS = [(0, 0, 1.0, 1.25), (0, 1, 0.0, 9.0), (1, 1, 0.5, 28.0), (1, 2, 1.0, 0.5)]


def test_a_pair_is_positive_if_a_view_of_it_was_enjoyed():
    config = ALSConfig(factors=1, unobserved_weight=0.5, regularization=0.1)
    enjoyed = literal_world(PAIRS, (3, 3)).matrix("enjoyed") > 0
    cells = penalised(enjoyed, config).toarray()
    np.testing.assert_array_equal(cells[:, :3], [[2, 0, 0], [0, 2, 2], [0, 0, 0]])
    # (1 + .5 * 2), (2 + .5 * 1) and (.5 * 3) are the weights of the rows
    np.testing.assert_allclose(cells[:, 3], [-0.4, -0.5, -0.3], rtol=1e-6)


def test_a_withheld_video_of_the_users_kind_comes_first():
    """Even users enjoy even videos, odd ones odd; the diagonal is withheld and must come back."""
    n = 12
    pairs = [(u, v, float(u % 2 == v % 2)) for u in range(n) for v in range(n) if u != v]
    model = ALS(ALSConfig(factors=2, regularization=0.001)).fit(literal_world(pairs, (n, n)))
    scores = model.score(np.arange(n))
    for user in range(n):
        alike = scores[user, user % 2 :: 2]
        unlike = scores[user, 1 - user % 2 :: 2]
        assert alike.min() > 0.5 > 0.1 > unlike.max()


def test_users_and_videos_without_a_positive_cannot_be_served():
    world = literal_world([(0, 0, 1.0), (0, 1, 0.0), (1, 1, 0.0), (2, 3, 1.0)], (4, 4))
    scores = ALS(TINY).fit(world).score(np.arange(4))
    np.testing.assert_array_equal(np.isfinite(scores).all(axis=1), [False] * 4)
    np.testing.assert_array_equal(
        np.isfinite(scores), np.outer([True, False, True, False], [True, False, False, True])
    )


def test_the_number_of_threads_changes_no_bit():
    positive = small_world().matrix("enjoyed") > 0
    one, two = (factorise(positive, TINY, seed=7, threads=n) for n in (1, 2))
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_seed_decides_the_start(seed):
    positive = small_world().matrix("enjoyed") > 0
    users, _ = factorise(positive, TINY, seed)
    again, _ = factorise(positive, TINY, seed)
    other, _ = factorise(positive, TINY, seed + 10)
    np.testing.assert_array_equal(users, again)
    assert not np.array_equal(users, other, equal_nan=True)
