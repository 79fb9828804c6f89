"""Step 7: which videos the log's policy showed to whom, how often, and on which day."""

import numpy as np
from numpy.typing import NDArray

from tasks.demo_world.calendar import LOG_DAYS
from tasks.demo_world.params import Defects
from tasks.demo_world.users import Users, mean_one_lognormal
from tasks.demo_world.videos import Flags, Floats, Ints, Videos

UserItem = tuple[Ints, Ints]
"""Row within the chunk, and video index."""


def choose_videos(
    pull: Floats,
    users: Users,
    user_idx: Ints,
    videos: Videos,
    rng: np.random.Generator,
) -> UserItem:
    """Choose each user's videos by popularity and a guess of taste, never the block to its users.

    A video wins with weight ``w_v exp(pull)``, pull being (users, videos): the user's n smallest
    exponential races, which is the same as the n largest of log weight + Gumbel noise.
    """
    races = rng.standard_exponential(pull.shape, dtype=np.float32)
    races *= np.exp(-pull)
    races /= videos.weight
    races[np.ix_(users.in_block[user_idx], videos.in_block)] = np.inf
    chosen = [
        np.sort(np.argpartition(race, count)[:count])
        for race, count in zip(races, users.videos_seen[user_idx], strict=True)
    ]
    rows = np.repeat(np.arange(len(user_idx)), [len(found) for found in chosen])
    return rows, np.concatenate(chosen)


def draw_rewatch_rates(n_videos: int, defects: Defects, rng: np.random.Generator) -> Floats:
    """Draw the mean number of further views of each video's pairs; a few videos run in loops."""
    rates = defects.rewatch * mean_one_lognormal(defects.rewatch_video_sd, n_videos, rng)
    looped = rng.random(n_videos) < defects.looped_video
    return np.where(looped, defects.looped_rewatch, rates).astype(np.float32)


def draw_views(
    pairs: UserItem, user_factor: Floats, video_rate: Floats, rng: np.random.Generator
) -> Ints:
    """Draw the number of views (n_pairs,) of each pair, 1 + Poisson."""
    rows, video_idx = pairs
    return 1 + rng.poisson(user_factor[rows] * video_rate[video_idx])


def day_table(videos: Videos) -> Floats:
    """Return the cumulative chance (n_videos, 28) of each log day: none before the upload.

    A video's days weigh exp(-age / 25) + 0.25: new videos are shown most, old ones still are.
    """
    age = LOG_DAYS[None, :] - videos.upload_day[:, None]
    weight = np.where(age >= 0, np.exp(-np.maximum(age, 0) / 25.0) + 0.25, 0.0)
    return np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1).astype(np.float32)


def draw_days(
    rows: Ints, video_idx: Ints, table: Floats, idle: Flags, rng: np.random.Generator
) -> Ints:
    """Draw the day (n,) of each view; one that falls on an idle day waits for the next active one.

    ``idle`` is (users of the chunk, 28); nobody is idle on the last day, so no view is lost.
    """
    chance = rng.random(len(video_idx), dtype=np.float32)
    place = np.zeros(len(video_idx), dtype=np.int64)
    for column in range(table.shape[1] - 1):
        place += chance > table[video_idx, column]
    return LOG_DAYS[_next_active(idle)[rows, place]]


def _next_active(idle: Flags) -> NDArray[np.int64]:
    """Return for each user and day the first day from it on that is not idle."""
    days = np.where(idle, idle.shape[1], np.arange(idle.shape[1]))
    return np.minimum.accumulate(days[:, ::-1], axis=1)[:, ::-1]
