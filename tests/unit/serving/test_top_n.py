"""From a model to lists: unseen videos only, best first, and no more than there are."""

import time

import numpy as np
import polars as pl
import pytest

import tasks.serving.top_n
from schemas.model_settings import RandomConfig
from tasks.artifacts.writer import validated
from tasks.models.base import Recommender
from tasks.models.catalogue import Catalogue
from tasks.serving.top_n import top_n_for_all
from tests.synthetic_data import literal_world

NAN = float("nan")
SCORES = np.array(
    [
        [0.1, 0.9, 0.5, 0.5],  # has seen the second
        [NAN, 0.2, NAN, 0.3],  # half of it cannot be served
        [NAN, NAN, NAN, NAN],  # nothing can
        [0.4, 0.3, 0.2, 0.1],  # has seen everything
    ],
    dtype=np.float32,
)
SEEN = [(0, 1), *[(3, video) for video in range(4)]]


class Written(Recommender[RandomConfig]):
    """Scores as written above."""

    config_type = RandomConfig

    def _fit(self, training):
        pass

    def _score(self, user_idx):
        return SCORES[user_idx]


class Slow(Written):
    """Takes the longer the earlier the user is; the first user asked alone is through last."""

    def _score(self, user_idx):
        time.sleep(0.05 * (len(SCORES) - user_idx[0]))
        return super()._score(user_idx)


def nothing():
    """A fallback that has nothing to say."""
    return "nothing (fallback)", np.full((1, SCORES.shape[1]), NAN, dtype=np.float32)


def last_first():
    """A fallback for which later videos are better."""
    return "last (fallback)", np.arange(SCORES.shape[1], dtype=np.float32)[None]


@pytest.fixture
def world():
    """Ids of users are 3, 13, 23, 33 and those of videos 5, 105, ..."""
    return literal_world([(user, video, 1.0) for user, video in SEEN], SCORES.shape)


@pytest.fixture
def catalogue(world):
    return Catalogue.of(
        world.users.select("user_idx", "user_id"),
        world.videos.select("video_idx", "video_id"),
        world.user_item,
    )


@pytest.fixture
def ask(world, catalogue):
    """Ask for the lists of users by index, of the model alone unless there is a fallback."""
    model = Written().fit(world)

    def lists(users, n, fallback=nothing):
        ids = world.user_ids[np.array(users, dtype=np.int64)]
        return pl.concat(top_n_for_all(model, fallback, catalogue, ids, n))

    return lists


def rows(frame: pl.DataFrame) -> list[tuple[int, int, int]]:
    return frame.select("user_id", "rank", "video_id").rows()


def test_lists_are_best_first_and_ties_go_to_the_smaller_id(ask):
    lists = ask([0], 10)
    assert rows(lists) == [(3, 1, 205), (3, 2, 305), (3, 3, 5)]
    assert lists["score"].to_list() == pytest.approx([0.5, 0.5, 0.1])


def test_what_was_seen_is_never_listed(ask):
    assert 105 not in ask([0], 10)["video_id"]
    assert ask([3], 10).is_empty()


def test_what_cannot_be_served_is_not_listed(ask):
    assert rows(ask([1], 10)) == [(13, 1, 305), (13, 2, 105)]
    assert ask([2], 10).is_empty()


def test_no_more_than_n_are_listed(ask):
    assert rows(ask([0], 1)) == [(3, 1, 205)]


def test_users_come_in_the_order_asked(ask):
    assert rows(ask([1, 3, 0], 1)) == [(13, 1, 305), (3, 1, 205)]


@pytest.mark.parametrize("users", [[0, 1], [2]])
def test_lists_keep_the_contract(ask, users):
    lists = ask(users, 3)
    assert validated(lists, "top_n").equals(lists)


def test_a_stranger_spoils_nobodys_list_and_everybody_keeps_their_place(world, catalogue, ask):
    ids = np.array([23, 3, 999_999_999_999, -7, 3, 13], dtype=np.int64)  # one asked for twice
    fallback = last_first
    lists = pl.concat(top_n_for_all(Written().fit(world), fallback, catalogue, ids, 2))
    popular = [(1, 305), (2, 205)]
    expected = [
        *((23, *place, "last (fallback)") for place in popular),
        *((3, 1, 205, "random"), (3, 2, 305, "random")),
        *((999_999_999_999, *place, "last (fallback)") for place in popular),
        *((-7, *place, "last (fallback)") for place in popular),
        *((3, 1, 205, "random"), (3, 2, 305, "random")),
        *((13, 1, 305, "random"), (13, 2, 105, "random")),
    ]
    assert lists.select("user_id", "rank", "video_id", "model").rows() == expected


def test_lists_made_side_by_side_keep_the_order_of_users(world, catalogue, monkeypatch):
    monkeypatch.setattr(tasks.serving.top_n, "USERS_AT_ONCE", 1)
    users = catalogue.user_ids
    lists = pl.concat(top_n_for_all(Slow().fit(world), last_first, catalogue, users, 2))
    # the third has nothing by the model; the fourth has seen everything
    assert rows(lists) == [
        *((3, 1, 205), (3, 2, 305)),
        *((13, 1, 305), (13, 2, 105)),
        *((23, 1, 305), (23, 2, 205)),
    ]
