"""Tags: the four preferences of one user, worked out by hand, and what follows for the videos."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from schemas.errors import ModelError
from schemas.model_settings import TagsConfig
from tasks.models.tags import Tags
from tests.synthetic_data import literal_world

NAN = np.nan
WORLD = literal_world(
    [(0, 0, 1.0, 2.0), (0, 1, 0.0, 0.5), (0, 2, 1.0, 3.0)],
    (2, 6),
    views=[1, 3, 1],
    videos={"tags": [[0], [0], [1], [0, 1], [2], []]},
)
SHARE = np.array([4, 3, 4, 0, 0, 0]) / 6
"""Videos ranked below by the shrunk mean label: 0 and 2 equal, then 1; the others are cold."""


def fitted(preference, **rest):
    return Tags(TagsConfig(preference=preference, **rest)).fit(WORLD)


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        ("views", [4 / 5, 1 / 5, 0]),
        # tag 0: 1 x 2 + 3 x .5, tag 1: 1 x 3
        ("total_watch_ratio", [3.5 / 6.5, 3 / 6.5, 0]),
        ("mean_watch_ratio", [3.5 / 4, 3, NAN]),
        # tag means, shrunk by 2 views of 2/3: 7/12, 7/9 and 2/3; the user's mean is that of all
        ("shrunk_mean", [(1 + 14 / 12) / 4, (1 + 14 / 9) / 3, 2 / 3]),
    ],
)
def test_preferences_of_the_only_user(preference, expected):
    preferences = fitted(preference, shrinkage=2).preferences(np.array([0, 1]))
    np.testing.assert_allclose(preferences, [expected, [NAN] * 3], rtol=1e-6)


def test_shrinks_towards_the_users_mean_and_the_tags():
    # all: 3/5; user 0: 1, user 1: 1/3; tag 0: (2 + .6) / (3 + 1), tag 1: (1 + .6) / (2 + 1)
    pairs = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 2, 0), (1, 3, 0)]
    world = literal_world(pairs, (2, 4), videos={"tags": [[0], [1], [0], [1]]})
    model = Tags(TagsConfig(shrinkage=1)).fit(world)
    user_mean, tag_mean = np.array([[1], [1 / 3]]), np.array([2.6 / 4, 1.6 / 3])
    prior = user_mean + tag_mean - 3 / 5
    expected = (np.array([[1, 1], [1, 0]]) + prior) / (np.array([[1, 1], [2, 1]]) + 1)
    np.testing.assert_allclose(model.preferences(np.array([0, 1])), expected, rtol=1e-6)


def test_videos_follow_their_tags_and_popularity_breaks_ties():
    scores = fitted("shrunk_mean", shrinkage=2, popularity_weight=0.01).score(np.array([0, 1]))
    low, high, unseen = (1 + 14 / 12) / 4, (1 + 14 / 9) / 3, 2 / 3
    liking = np.array([low, low, high, (low + high) / 2, unseen, NAN])
    np.testing.assert_allclose(scores, [liking + 0.01 * SHARE, [NAN] * 6], rtol=1e-6)
    assert np.argsort(-scores[0])[:5].tolist() == [2, 3, 4, 0, 1]


def test_only_known_tags_count_and_a_video_without_any_is_not_served():
    scores = fitted("mean_watch_ratio", popularity_weight=0).score(np.array([0]))
    np.testing.assert_allclose(scores, [[0.875, 0.875, 3, 1.9375, NAN, NAN]], rtol=1e-6)


def test_without_shrinkage_an_unseen_tag_is_unknown():
    preferences = fitted("shrunk_mean", shrinkage=0).preferences(np.array([0]))
    np.testing.assert_allclose(preferences, [[0.5, 1, NAN]], rtol=1e-6)


def test_preferred_tags_are_shown_by_name():
    shown = fitted("shrunk_mean", shrinkage=2).preferred_tags(0, {1: "舞蹈"}, 2)
    expected = pl.DataFrame(
        {"tag": [1, 2], "tag_name": ["舞蹈", "2"], "preference": [(1 + 14 / 9) / 3, 2 / 3]},
        schema={"tag": pl.Int16, "tag_name": pl.String, "preference": pl.Float32},
    )
    assert_frame_equal(shown, expected)


def test_a_user_without_history_prefers_nothing():
    assert fitted("views").preferred_tags(1, {}, 5).is_empty()


def test_preferences_need_a_fitted_model_and_a_known_user():
    with pytest.raises(ModelError, match="tags is not fitted"):
        Tags().preferences(np.array([0]))
    with pytest.raises(ModelError, match="user index 2"):
        fitted("views").preferred_tags(2, {}, 5)


def test_a_world_without_any_tag_cannot_be_served():
    world = literal_world([(0, 0, 1.0)], (1, 2))
    assert np.isnan(Tags().fit(world).score(np.array([0]))).all()
