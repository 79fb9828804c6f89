"""Friends on a graph drawn by hand.

      1 --- 0 --- 2        3 (nobody's friend)
      |
      4

Users 1, 2 and 3 have each enjoyed half of what they saw, so every label is +-.5 once centred:

| user | v0 | v1 | v2 | v3 |
|    1 | +  | -  |    |    |
|    2 | +  | -  | +  | -  |
|    3 |    | +  | -  |    |
"""

from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import ModelError
from schemas.model_settings import FriendsConfig
from tasks.models.friends import Friends
from tests.synthetic_data import literal_world

NAN = np.nan
PAIRS = [
    *((1, 0, 1.0), (1, 1, 0.0)),
    *((2, 0, 1.0), (2, 1, 0.0), (2, 2, 1.0), (2, 3, 0.0)),
    *((3, 1, 1.0), (3, 2, 0.0)),
]
EDGES = [(0, 1), (1, 0), (2, 0), (1, 4)]
"""One friendship in both directions and two in one: all count once, for both."""
WORLD = literal_world(PAIRS, (5, 5), friends=EDGES)


def scores(world=WORLD, users=(0,), **config):
    config = FriendsConfig(**{"shrinkage": 1, **config})
    return Friends(config).fit(world).score(np.array(users))


def test_a_video_is_worth_what_friends_enjoyed_of_it_more_than_usual():
    # sums over all viewers: 1, -.5, 0, -.5; the priors divide them by 2, 3, 2 and 1 viewers + 1
    prior = np.array([1 / 3, -0.5 / 4, 0, -0.5 / 2])
    by_both = (np.array([0.5 + 0.5, -0.5 - 0.5]) + prior[:2]) / (2 + 1)
    by_user_2 = (np.array([0.5, -0.5]) + prior[2:]) / (1 + 1)
    np.testing.assert_allclose(scores(), [[*by_both, *by_user_2, NAN]], rtol=1e-6)


def test_friendship_works_in_both_directions():
    by_user_1 = np.array([0.5 + 1 / 3, -0.5 - 0.5 / 4]) / (1 + 1)
    np.testing.assert_allclose(scores(users=[4]), [[*by_user_1, NAN, NAN, NAN]], rtol=1e-6)


def test_without_shrinkage_it_is_the_friends_plain_mean():
    np.testing.assert_allclose(scores(shrinkage=0), [[0.5, -0.5, 0.5, -0.5, NAN]], rtol=1e-6)


def test_users_without_friends_or_whose_friends_saw_nothing_cannot_be_served():
    assert np.isnan(scores(users=[3])).all(), "no friends"
    assert np.isnan(scores(users=[1, 2])).all(), "their friends 0 and 4 saw nothing"


def test_one_friends_single_view_does_not_rule():
    """Video 0 was enjoyed by the only friend who saw it, video 1 by two friends and by others."""
    taste = [(u, 1, 1.0) for u in range(1, 6)] + [(u, 2, 0.0) for u in range(1, 6)]
    world = literal_world([*taste, (1, 0, 1.0)], (6, 3), friends=[(0, 1), (0, 2)])
    row = scores(world, shrinkage=5)[0]
    assert row[1] > row[0] > row[2]


def test_a_label_equal_to_the_friends_mean_is_still_a_view():
    world = literal_world([(1, 0, 0.5)], (2, 2), friends=[(0, 1)])
    np.testing.assert_array_equal(scores(world), [[0, NAN]])


def test_an_empty_friend_list_serves_nobody():
    world = literal_world(PAIRS, (5, 5))
    assert np.isnan(scores(world, users=range(5))).all()


def test_nobody_is_their_own_friend():
    world = literal_world(PAIRS, (5, 5), friends=[(2, 2)])
    assert np.isnan(scores(world, users=[2])).all()


def test_a_friend_nobody_knows_is_an_error():
    stranger = replace(WORLD, friends=literal_world([], (1, 1), friends=[(0, 77)]).friends)
    with pytest.raises(ModelError, match="user index 0 to 77 in the friendships, there are 0 to 4"):
        scores(stranger)


def test_authors_are_friends_only_when_asked():
    # video 4's author has the number of user 1, who is a friend of user 0
    authors = {"author_id": [13_000, None, None, None, int(WORLD.user_ids[1])]}
    world = literal_world(PAIRS, (5, 5), friends=EDGES, videos=authors)
    assert np.isnan(scores(world)[0, 4])
    # user 1's usual label is .5, and the author is the only one who knows the video
    row = scores(world, authors_are_friends=True)[0]
    np.testing.assert_allclose(row[4], (0.5 + 0.5 / 2) / (1 + 1), rtol=1e-6)
    np.testing.assert_allclose(row[:4], scores()[0, :4], rtol=1e-6)
