"""Baselines and controls on worlds small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import ConfigError
from schemas.model_settings import PopularityConfig
from tasks.models.lookup import recommender_class
from tasks.models.most_viewed import MostViewed
from tasks.models.popularity import Popularity
from tasks.models.random import Random
from tasks.models.recently_viewed import RecentlyViewed
from tasks.models.shortest import Shortest
from tests.synthetic_data import literal_world

WORLD = literal_world(
    [(0, 0, 1.0), (0, 1, 0.5), (1, 0, 0.0), (1, 2, 1.0), (2, 0, 1.0)],
    (3, 4),
    views=[1, 2, 1, 9, 1],
)


def test_most_viewed_counts_each_viewer_once_and_is_silent_about_cold_videos():
    scores = MostViewed().fit(WORLD).score(np.array([0, 2]))
    np.testing.assert_array_equal(scores, [[3, 1, 1, np.nan]] * 2)


def test_popularity_is_the_shrunk_mean_label():
    # the mean of all is 3.5 / 5 = .7; video 0: (2 + 2 * .7) / (3 + 2)
    scores = Popularity(PopularityConfig(shrinkage=2)).fit(WORLD).score(np.array([1]))
    expected = [[3.4 / 5, 1.9 / 3, 2.4 / 3, np.nan]]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_popularity_without_shrinkage_is_the_plain_mean():
    scores = Popularity(PopularityConfig(shrinkage=0)).fit(WORLD).score(np.array([1]))
    np.testing.assert_allclose(scores, [[2 / 3, 0.5, 1.0, np.nan]], rtol=1e-6)


def test_shortest_first_and_silent_where_the_length_is_unknown():
    world = literal_world([(0, 0, 1.0)], (2, 3), videos={"duration_ms": [9_000, None, 3_500]})
    scores = Shortest().fit(world).score(np.array([0, 1]))
    np.testing.assert_array_equal(scores, [[-9, np.nan, -3.5]] * 2)


def test_of_late_a_user_counts_once_and_older_views_do_not():
    world = literal_world(
        [(0, 0, 1.0), (1, 0, 0.0), (2, 0, 1.0), (0, 1, 1.0), (1, 2, 1.0)],
        (3, 4),
        views=[7, 1, 1, 1, 1],
        age_days=[2.5, 3, 3.5, 0.5, 9],
    )
    scores = RecentlyViewed().fit(world).score(np.array([0]))
    np.testing.assert_array_equal(scores, [[2, 1, 0, np.nan]])


def test_random_is_uniform_and_different_for_each_user():
    world = literal_world([], (3, 5_000))
    scores = Random().fit(world).score(np.arange(3))
    assert 0 <= scores.min() <= scores.max() < 1
    np.testing.assert_allclose(scores.mean(axis=1), 0.5, atol=0.02)
    assert abs(np.corrcoef(scores)[0, 1]) < 0.05


def test_random_follows_the_seed():
    first = Random().fit(WORLD).score(np.arange(3))
    other = Random().fit(replace(WORLD, seed=8)).score(np.arange(3))
    assert not np.array_equal(first, other)


def test_an_unknown_model_is_named_with_the_choice():
    with pytest.raises(ConfigError, match="unknown model 'svd': choose from random, most_viewed"):
        recommender_class("svd")
