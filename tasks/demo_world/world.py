"""A world in memory: what is drawn once, and the views that follow chunk by chunk of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.demo_world import exposure
from tasks.demo_world import log_events as events
from tasks.demo_world import watch_time as play
from tasks.demo_world.calendar import LOG_DAYS
from tasks.demo_world.params import Defects, Habit, Taste, WorldShape
from tasks.demo_world.policy import Policy
from tasks.demo_world.random_streams import Stream, stream
from tasks.demo_world.taste import TasteModel
from tasks.demo_world.users import Users, draw_users
from tasks.demo_world.videos import Floats, Ints, Videos, draw_videos


@dataclass(frozen=True)
class World:
    """Everything drawn once; memory grows with users and videos, not with their product."""

    shape: WorldShape
    taste: Taste
    defects: Defects
    users: Users
    videos: Videos
    model: TasteModel
    policy: Policy
    """What the log's recommender believed."""
    rewatch_rate: Floats
    """(n_videos,) mean number of further views of a pair."""
    day_table: Floats
    """(n_videos, 28) cumulative chance of each log day."""
    seed: int

    @classmethod
    def draw(cls, scale: float, seed: int, density: float = 1.0) -> World:
        """Draw users, videos and the taste between them; ``density`` changes neither."""
        shape, taste, defects = WorldShape.at(scale, density), Taste.at(scale), Defects()
        videos = draw_videos(shape, taste, seed)
        users = draw_users(shape, taste, defects.rewatch_user_sd, seed)
        rewatch = stream(seed, Stream.REWATCH)
        return cls(
            shape=shape,
            taste=taste,
            defects=defects,
            users=users,
            videos=videos,
            model=TasteModel.of(users, videos, taste, seed),
            policy=Policy.of(users, videos, taste, seed),
            rewatch_rate=exposure.draw_rewatch_rates(shape.videos, defects, rewatch),
            day_table=exposure.day_table(videos),
            seed=seed,
        )

    @property
    def block_videos(self) -> Ints:
        """Ids of the block's videos, ascending."""
        return np.flatnonzero(self.videos.in_block)

    def user_chunks(self) -> list[Ints]:
        """Split all user ids so that a chunk x all videos fits into bounded memory."""
        return self._chunks(np.arange(len(self.users)))

    def block_chunks(self) -> list[Ints]:
        """Split the block's user ids in the same way."""
        return self._chunks(np.flatnonzero(self.users.in_block))

    def _chunks(self, user_id: Ints) -> list[Ints]:
        size = self.shape.users_per_chunk
        return [user_id[start : start + size] for start in range(0, len(user_id), size)]


def log_chunk(world: World, user_id: Ints, number: int) -> pl.DataFrame:
    """Return the log's rows of chunk ``number``: users see videos, some of them again."""
    rng = stream(world.seed, Stream.LOG, number)
    users, videos = world.users, world.videos
    taste = world.model.dense(user_id)
    pull = world.taste.exposure_pull * world.policy.guess(user_id)
    pairs = exposure.choose_videos(pull, users, user_id, videos, rng)
    views = exposure.draw_views(pairs, users.rewatch[user_id], world.rewatch_rate, rng)
    if number == 0:
        views[rng.integers(len(views))] = world.shape.longest_rewatch
    rows, video_id = (np.repeat(side, views) for side in pairs)
    signal = taste[rows, video_id] + videos.quality[video_id]
    play_ms = play.draw_play_ms(signal, user_id[rows], users, Habit.log(world.taste), rng)
    idle = rng.random((len(user_id), len(LOG_DAYS))) < world.defects.idle_day
    idle[:, -1] = False
    day = exposure.draw_days(rows, video_id, world.day_table, idle, rng)
    return events.log_rows(user_id[rows], video_id, day, play_ms, videos, world.defects, rng)


def block_chunk(
    world: World, user_id: Ints, number: int, curve: play.ThresholdCurve
) -> tuple[pl.DataFrame, Floats]:
    """Return the block's rows of chunk ``number`` and the truth (users, block videos)."""
    rng = stream(world.seed, Stream.BLOCK, number)
    users, videos, video_id = world.users, world.videos, world.block_videos
    signal = world.model.dense(user_id)[:, video_id] + videos.quality[video_id]
    needed = curve.log_play(videos.duration_ms[video_id])
    expected = play.expected_enjoyment(signal, user_id, users, needed, Habit.block())
    observed = events.observed_cells(len(user_id), len(video_id), world.defects, rng)
    rows, columns = np.nonzero(observed)
    play_ms = play.draw_play_ms(signal[rows, columns], user_id[rows], users, Habit.block(), rng)
    forced = events.stage_two_chance(videos.rank[video_id], world.defects)
    has_time = rng.random(len(rows), dtype=np.float32) >= forced[columns]
    frame = events.block_rows(user_id[rows], video_id[columns], play_ms, has_time, videos, rng)
    return frame, expected
