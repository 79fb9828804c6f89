"""Step 8: rows of the two matrices, with their times and their defects."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.demo_world.calendar import LAST_DAY, draw_local_ms, unix_seconds, yyyymmdd
from tasks.demo_world.params import Defects
from tasks.demo_world.videos import Flags, Floats, Ints, Videos


def log_rows(
    user_id: Ints,
    video_id: Ints,
    day: Ints,
    play_ms: Ints,
    videos: Videos,
    defects: Defects,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the rows of ``big_matrix.csv`` for views (n,), ordered by user and time.

    Some rows come twice, a few of them in the next day's partition, and in some rows ``date``, the
    partition, is the day after the view.
    """
    n = len(user_id)
    partition = day + (rng.random(n) < defects.other_partition)
    copied = np.flatnonzero(rng.random(n) < defects.copied)
    moved = np.flatnonzero(rng.random(n) < defects.copied_to_next_partition)
    local_ms = draw_local_ms(day, rng)
    source = np.concatenate([np.arange(n), copied, moved])
    partition = np.concatenate([partition, partition[copied], day[moved] + 1])
    order = np.lexsort((local_ms[source], user_id[source]))
    rows = source[order]
    return _frame(
        user_id[rows], video_id[rows], play_ms[rows], local_ms[rows], partition[order], videos
    )


def block_rows(
    user_id: Ints,
    video_id: Ints,
    play_ms: Ints,
    has_time: Flags,
    videos: Videos,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the rows of ``small_matrix.csv`` for cells (n,), ordered by user and time.

    Rows of stage 2 have no time, date or timestamp and stand at the end of their user; ``date`` is
    a float as in the original.
    """
    first_day = np.maximum(videos.upload_day[video_id], 0)
    day = first_day + np.floor(rng.random(len(first_day)) * (LAST_DAY + 1 - first_day))
    day = day.astype(np.int64)
    local_ms = draw_local_ms(day, rng)
    order = np.lexsort((local_ms, ~has_time, user_id))
    user_id, video_id, play_ms = user_id[order], video_id[order], play_ms[order]
    frame = _frame(user_id, video_id, play_ms, local_ms[order], day[order], videos)
    known = pl.Series(has_time[order])
    return frame.with_columns(
        pl.when(known).then(pl.col("date").cast(pl.Float64)).alias("date"),
        *(pl.when(known).then(pl.col(name)).alias(name) for name in ("time", "timestamp")),
    )


def stage_two_chance(rank: Floats, defects: Defects) -> Floats:
    """Return each block video's chance (n,) to need force: rare ones more, 3.9 % in all."""
    n = len(rank)
    place = np.argsort(np.argsort(rank)) / max(n - 1, 1)
    weight = np.exp(-defects.block_without_time_tilt * place)
    return np.asarray(defects.block_without_time * weight / weight.mean(), dtype=np.float32)


def observed_cells(
    n_users: int, n_videos: int, defects: Defects, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw which cells of the block (users, videos) were observed: nearly all."""
    most = 2 * defects.block_missing
    missing = rng.random((n_users, 1), dtype=np.float32) * most
    return rng.random((n_users, n_videos), dtype=np.float32) >= missing


def _frame(
    user_id: Ints, video_id: Ints, play_ms: Ints, local_ms: Ints, partition: Ints, videos: Videos
) -> pl.DataFrame:
    """Lay out events in the official columns; the ratio is that of the rounded durations."""
    duration_ms = videos.duration_ms[video_id]
    return pl.DataFrame(
        {
            "user_id": user_id,
            "video_id": video_id,
            "play_duration": play_ms,
            "video_duration": duration_ms,
            "time": local_ms.astype("datetime64[ms]"),
            "date": yyyymmdd(partition),
            "timestamp": unix_seconds(local_ms),
            "watch_ratio": play_ms / duration_ms,
        }
    )
