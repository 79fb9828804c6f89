"""Contracts of the feature tables: what models learn from, all of it known before ``as_of``."""

from typing import Annotated

import pandera.polars as pa
import polars as pl

from schemas.column_contracts import holding
from schemas.order import ascending_by
from schemas.raw_columns import CAPTION_COLUMNS, DAILY_COLUMNS, USER_COLUMNS

UtcMs = Annotated[pl.Datetime, "ms", "UTC"]
"""All times: UTC with millisecond precision."""


class UserIndex(pa.DataFrameModel):
    """One row per user known by the cut: the contiguous index of each id, both ascending."""

    user_idx: pl.Int32 = pa.Field(ge=0, unique=True)
    user_id: pl.Int32 = pa.Field(ge=0, unique=True)

    class Config:
        """Closed."""

        strict = True


class VideoIndex(pa.DataFrameModel):
    """One row per video known by the cut: the contiguous index of each id, both ascending."""

    video_idx: pl.Int32 = pa.Field(ge=0, unique=True)
    video_id: pl.Int32 = pa.Field(ge=0, unique=True)

    class Config:
        """Closed."""

        strict = True


class UserItem(pa.DataFrameModel):
    """One row per (user, video) seen before the cut, ordered by user_idx, video_idx."""

    user_idx: pl.Int32 = pa.Field(ge=0)
    video_idx: pl.Int32 = pa.Field(ge=0)
    views: pl.Int32 = pa.Field(ge=1)
    watch_ratio: pl.Float32 = pa.Field(ge=0, description="mean over the pair's views")
    enjoyed: pl.Float32 = pa.Field(ge=0, le=1, description="share of the views that were enjoyed")
    last_viewed_at: UtcMs

    ascending = ascending_by("user_idx", "video_idx")

    class Config:
        """Closed, and in the order of its grain."""

        strict = True


@holding(column for column in USER_COLUMNS if column.use)
class Users(pa.DataFrameModel):
    """One row per user of any table, in the order of user_idx; null where nothing is known."""

    user_idx: pl.Int32 = pa.Field(ge=0, unique=True)
    user_id: pl.Int32 = pa.Field(ge=0, unique=True)
    views: pl.Int32 = pa.Field(ge=0, description="views before the cut")
    enjoyed_rate: pl.Float32 = pa.Field(ge=0, le=1, nullable=True, description="null: no view")

    class Config:
        """Closed."""

        strict = True


@holding(column for column in (*DAILY_COLUMNS, *CAPTION_COLUMNS) if column.use)
class Videos(pa.DataFrameModel):
    """One row per video of any table, in the order of video_idx; null where nothing is known."""

    video_idx: pl.Int32 = pa.Field(ge=0, unique=True)
    video_id: pl.Int32 = pa.Field(ge=0, unique=True)
    tags: pl.List(pl.Int16) = pa.Field(description="ascending tag ids; empty: none known")  # type: ignore[valid-type]
    duration_ms: pl.Int32 = pa.Field(gt=0, nullable=True)
    plays: pl.Int64 = pa.Field(ge=0, description="app-wide plays on the days before the cut")
    likes: pl.Int64 = pa.Field(ge=0, description="app-wide likes on the days before the cut")
    like_view_ratio: pl.Float32 = pa.Field(ge=0, nullable=True, description="shrunk likes / plays")
    complete_play_ratio: pl.Float32 = pa.Field(ge=0, nullable=True, description="shrunk")
    views: pl.Int32 = pa.Field(ge=0, description="views in the log before the cut; 0: cold")
    enjoyed_rate: pl.Float32 = pa.Field(ge=0, le=1, nullable=True, description="null: no view")

    class Config:
        """Closed."""

        strict = True


class Friendships(pa.DataFrameModel):
    """One row per direction of an undirected friendship between known users."""

    user_idx: pl.Int32 = pa.Field(ge=0)
    friend_idx: pl.Int32 = pa.Field(ge=0)

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("user_idx", "friend_idx")


class LabelThreshold(pa.DataFrameModel):
    """One row per knot of the enjoyed threshold over video length, by ascending length."""

    duration_ms: pl.Float64 = pa.Field(gt=0, unique=True, description="median length of the bucket")
    watch_ratio: pl.Float64 = pa.Field(gt=0, description="above this, a view of that length counts")

    class Config:
        """Closed."""

        strict = True
