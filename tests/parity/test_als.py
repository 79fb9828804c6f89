"""ALS against the dense closed form of Hu, Koren and Volinsky (2008), equations 4 and 5."""

import numpy as np
import pytest

from schemas.model_settings import ALSConfig
from tasks.models.als import factorise, positive_confidence
from tests.synthetic_data import small_world

CONFIG = ALSConfig(
    factors=5, regularization=0.3, alpha=2, ratio_weight=1, ratio_cap=1.5, iterations=300
)


def closed_form(confidence, factors, regularization):
    """Return x_u = (Y' C_u Y + lambda I)^-1 Y' C_u p_u for each row u of the dense confidence."""
    solved = np.empty((len(confidence), factors.shape[1]))
    for row, stored in enumerate(confidence):
        c = np.where(stored > 0, stored, 1.0)
        left = (factors.T * c) @ factors + regularization * np.eye(factors.shape[1])
        solved[row] = np.linalg.solve(left, (factors.T * c) @ (stored > 0))
    return solved


def loss(confidence, users, videos, regularization):
    c = np.where(confidence > 0, confidence, 1.0)
    errors = c * ((confidence > 0) - users @ videos.T) ** 2
    return errors.sum() + regularization * ((users**2).sum() + (videos**2).sum())


@pytest.fixture(scope="module")
def problem():
    sparse = positive_confidence(small_world(), CONFIG)
    rows = np.diff(sparse.indptr) > 0
    columns = np.bincount(sparse.indices, minlength=sparse.shape[1]) > 0
    users, videos = factorise(sparse, CONFIG, seed=7, threads=1)
    dense = sparse.toarray()[np.ix_(rows, columns)].astype(np.float64)
    return dense, users[rows].astype(np.float64), videos[columns].astype(np.float64)


def test_the_videos_solve_the_normal_equations_of_the_users(problem):
    confidence, users, videos = problem
    expected = closed_form(confidence.T, users, CONFIG.regularization)
    np.testing.assert_allclose(videos, expected, atol=2e-4)


def test_the_users_solve_the_normal_equations_of_the_videos(problem):
    confidence, users, videos = problem
    expected = closed_form(confidence, videos, CONFIG.regularization)
    np.testing.assert_allclose(users, expected, atol=2e-3)


def test_the_loss_is_as_low_as_dense_alternation_gets(problem):
    confidence, users, videos = problem
    dense_videos = np.random.default_rng(0).random(videos.shape) * 0.01
    for _ in range(CONFIG.iterations):
        dense_users = closed_form(confidence, dense_videos, CONFIG.regularization)
        dense_videos = closed_form(confidence.T, dense_users, CONFIG.regularization)
    dense_loss = loss(confidence, dense_users, dense_videos, CONFIG.regularization)
    reached = loss(confidence, users, videos, CONFIG.regularization)
    assert reached == pytest.approx(dense_loss, rel=0.01)
