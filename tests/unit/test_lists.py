"""From a model to lists: unseen videos only, best first, and no more than there are."""

import numpy as np
import polars as pl
import pytest

from schemas.errors import ModelError
from schemas.models import RandomConfig
from tasks.draft import validated
from tasks.models.catalogue import Catalogue
from tasks.models.interface import Recommender
from tasks.models.lists import top_lists
from tests.worlds import literal_world

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


@pytest.fixture
def ask():
    """Ask for the lists of users: ids are 3, 13, 23, 33 and those of the videos 5, 105, ..."""
    world = literal_world([(user, video, 1.0) for user, video in SEEN], SCORES.shape)
    catalogue = Catalogue.of(
        world.users.select("user_idx", "user_id"),
        world.videos.select("video_idx", "video_id"),
        world.pairs,
    )
    model = Written().fit(world)
    return lambda users, n: top_lists(model, catalogue, np.array(users, dtype=np.int64), n)


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
    assert ask([], 5).is_empty()


@pytest.mark.parametrize("users", [[0, 1], [2]])
def test_lists_keep_the_contract(ask, users):
    lists = ask(users, 3)
    assert validated(lists, "top_n").equals(lists)


def test_an_index_that_is_nobody_is_refused(ask):
    with pytest.raises(ModelError, match="0 to 3"):
        ask([4], 1)
