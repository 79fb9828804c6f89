"""Little ingested tables for the tests of features: events, block cells and indices."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from tasks.features.id_index import index_of

START = datetime(2020, 7, 10, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""

Event = tuple[int, int, float] | tuple[int, int, float, int] | tuple[int, int, float, int, datetime]
"""user_id, video_id, watch_ratio, video_duration_ms (10 000), viewed_at (a minute apart)."""


def log(events: Sequence[Event]) -> pl.DataFrame:
    """Return ``interactions`` with these events."""
    rows = []
    for i, event in enumerate(events):
        user, video, ratio, *rest = event
        duration = rest[0] if rest else 10_000
        moment = rest[1] if len(rest) > 1 else START + timedelta(minutes=i)
        rows.append((user, video, moment, round(ratio * duration), duration, float(ratio)))
    return pl.DataFrame(
        rows,
        schema={
            "user_id": pl.Int32,
            "video_id": pl.Int32,
            "viewed_at": pl.Datetime("ms", "UTC"),
            "play_duration_ms": pl.Int32,
            "video_duration_ms": pl.Int32,
            "watch_ratio": pl.Float64,
        },
        orient="row",
    )


def block_of(cells: Sequence[tuple[int, int, float]], duration_ms: int = 10_000) -> pl.DataFrame:
    """Return ``block`` with these cells (user_id, video_id, watch_ratio), all of stage 1."""
    events = log([(user, video, ratio, duration_ms) for user, video, ratio in cells])
    return events.with_columns(stage=pl.lit(1, pl.Int8))


def index(kind: str, ids: Sequence[int]) -> pl.DataFrame:
    return index_of([pl.Series(ids, dtype=pl.Int32)], kind)


def curve(*knots: tuple[float, float]) -> pl.DataFrame:
    """Return ``label_threshold`` with these knots (duration_ms, watch_ratio)."""
    schema = {"duration_ms": pl.Float64, "watch_ratio": pl.Float64}
    return pl.DataFrame(knots, schema=schema, orient="row")
