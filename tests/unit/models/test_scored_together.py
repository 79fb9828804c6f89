"""How many users are scored together: as many as memory allows, and each once."""

import pytest

from tasks.models.base import CELLS_AT_ONCE, USERS_AT_ONCE, users_in_parts


@pytest.mark.parametrize("n_videos", [0, 1, 10_728, 33_925, CELLS_AT_ONCE + 1])
@pytest.mark.parametrize("n_users", [1, 511, 512, 513, 2_000])
def test_each_user_is_in_one_part_that_is_not_too_large(n_users, n_videos):
    parts = list(users_in_parts(n_users, n_videos))
    assert [row for part in parts for row in range(n_users)[part]] == list(range(n_users))
    most = max(len(range(n_users)[part]) for part in parts)
    assert most == 1 or (most <= USERS_AT_ONCE and most * n_videos <= CELLS_AT_ONCE)


def test_of_nobody_there_is_one_part_without_rows():
    assert [len(range(0)[part]) for part in users_in_parts(0, 10)] == [0]
