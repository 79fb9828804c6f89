"""The demo world as files: the order in which they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from tasks.demo_world.captions import caption_tables, category_table
from tasks.demo_world.csv_files import CsvFile, TruthFile, write_marker, write_table
from tasks.demo_world.daily_stats import daily_tables
from tasks.demo_world.params import check_scale
from tasks.demo_world.user_tables import friend_table, user_table
from tasks.demo_world.watch_time import ThresholdCurve
from tasks.demo_world.world import World, block_chunk, log_chunk

CURVE_VIEWS = 1_000_000
"""About this many views are kept to fit the truth's enjoyed curve, whatever the scale."""


def write_demo_world(
    folder: Path,
    scale: float,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    density: float = 1.0,
) -> None:
    """Write KuaiRec's seven CSV files, ``truth.npz`` and ``demo.json`` into the empty ``folder``.

    ``scale`` 1 is KuaiRec's size; users and videos grow with it, rows with its square. The same
    scale and seed give the same bytes; ``density`` is a factor on what each user sees, for the same
    users and videos with the same tastes. ``progress(done, total)`` is called after each chunk of
    users. ConfigError if the scale is out of ``scale_range()``. The marker comes last.
    """
    check_scale(scale)
    world = World.draw(scale, seed, density)
    total = 1 + len(world.user_chunks()) + len(world.block_chunks())
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    _write_side_tables(folder, world)
    step()
    curve = _write_log(folder, world, step)
    _write_block(folder, world, curve, step)
    write_marker(folder, scale, seed)


def _write_side_tables(folder: Path, world: World) -> None:
    """Write users, friends, categories, captions and daily figures."""
    write_table(folder, "users", [user_table(world.users, world.seed)])
    write_table(folder, "friends", [friend_table(world.users)])
    write_table(folder, "video_tags", [category_table(world.videos)])
    write_table(folder, "captions", caption_tables(world.videos, world.seed))
    write_table(folder, "video_daily_stats", daily_tables(world.videos, world.seed))


def _write_log(folder: Path, world: World, step: Callable[[], None]) -> ThresholdCurve:
    """Write ``big_matrix.csv``; return the enjoyed curve of an even sample of its rows."""
    stride = max(1, int(world.users.videos_seen.sum()) // CURVE_VIEWS)
    sample = []
    with CsvFile(folder, "interactions") as file:
        for number, user_id in enumerate(world.user_chunks()):
            rows = log_chunk(world, user_id, number)
            file.append(rows)
            sample.append(rows.gather_every(stride).select("video_duration", "watch_ratio"))
            step()
    views = pl.concat(sample)
    return ThresholdCurve.fit(views["video_duration"].to_numpy(), views["watch_ratio"].to_numpy())


def _write_block(
    folder: Path, world: World, curve: ThresholdCurve, step: Callable[[], None]
) -> None:
    """Write ``small_matrix.csv`` and, cell by cell, the truth."""
    ids = np.flatnonzero(world.users.in_block), world.block_videos
    with CsvFile(folder, "small_matrix") as file, TruthFile(folder, *ids) as truth:
        for number, user_id in enumerate(world.block_chunks()):
            rows, expected = block_chunk(world, user_id, number, curve)
            file.append(rows)
            truth.append(expected)
            step()
