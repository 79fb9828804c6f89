"""iALS against its dense closed form: the loss's gradient in each row is 0."""

import numpy as np
import pytest

from schemas.model_settings import ALSConfig
from tasks.models.als import factorise
from tests.synthetic_data import small_world

SHARED = {"factors": 5, "iterations": 300}
CONFIGS = {
    "by frequency": ALSConfig(regularization=0.02, unobserved_weight=0.2, **SHARED),
    "by its root": ALSConfig(
        regularization=0.1, unobserved_weight=0.5, frequency_exponent=0.5, **SHARED
    ),
    "the same for all": ALSConfig(
        regularization=0.3, unobserved_weight=1, frequency_exponent=0, **SHARED
    ),
}


def weights_of(positive, config):
    return np.where(positive, 1.0, config.unobserved_weight)


def penalties(weights, config):
    return config.regularization * weights.sum(axis=1) ** config.frequency_exponent


def closed_form(positive, factors, config):
    """Return x_r = (Y' W_r Y + lambda_r I)^-1 Y' W_r p_r for each row r of the dense cells."""
    weights = weights_of(positive, config)
    solved = np.empty((len(positive), factors.shape[1]))
    for row, (w, penalty) in enumerate(zip(weights, penalties(weights, config), strict=True)):
        left = (factors.T * w) @ factors + penalty * np.eye(factors.shape[1])
        solved[row] = np.linalg.solve(left, (factors.T * w) @ positive[row])
    return solved


def loss(positive, users, videos, config):
    weights = weights_of(positive, config)
    errors = weights * (positive - users @ videos.T) ** 2
    by_user, by_video = penalties(weights, config), penalties(weights.T, config)
    return errors.sum() + by_user @ (users**2).sum(axis=1) + by_video @ (videos**2).sum(axis=1)


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def problem(request):
    positive = small_world().matrix("enjoyed") > 0
    users, videos = factorise(positive, request.param, seed=7, threads=1)
    # Whoever has no positive pair is at 0, and is given out as not served
    return (
        positive.toarray(),
        *(np.nan_to_num(f).astype(float) for f in (users, videos)),
        request.param,
    )


def test_the_videos_solve_the_normal_equations_of_the_users(problem):
    positive, users, videos, config = problem
    np.testing.assert_allclose(videos, closed_form(positive.T, users, config), atol=2e-4)


def test_the_users_solve_the_normal_equations_of_the_videos(problem):
    positive, users, videos, config = problem
    np.testing.assert_allclose(users, closed_form(positive, videos, config), atol=2e-3)


def test_the_loss_is_as_low_as_dense_alternation_gets(problem):
    positive, users, videos, config = problem
    dense_videos = np.random.default_rng(0).random(videos.shape) * 0.01
    for _ in range(config.iterations):
        dense_users = closed_form(positive, dense_videos, config)
        dense_videos = closed_form(positive.T, dense_users, config)
    reached = loss(positive, users, videos, config)
    assert reached == pytest.approx(loss(positive, dense_users, dense_videos, config), rel=0.01)


def test_without_scaling_it_is_the_librarys_own():
    from implicit.cpu.als import AlternatingLeastSquares

    positive = small_world().matrix("enjoyed") > 0
    config = ALSConfig(
        factors=4, regularization=0.1, unobserved_weight=0.5, frequency_exponent=0, iterations=10
    )
    users, videos = factorise(positive, config, seed=3)
    theirs = AlternatingLeastSquares(
        factors=4, regularization=0.2, alpha=2.0, iterations=10, random_state=3
    )
    theirs.fit(positive.astype(np.float32), show_progress=False)
    ours = users @ videos.T
    served = ~np.isnan(ours)
    assert served.any()
    np.testing.assert_allclose(
        ours[served], (theirs.user_factors @ theirs.item_factors.T)[served], atol=2e-3
    )
