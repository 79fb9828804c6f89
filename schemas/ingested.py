"""Contracts of the ingested tables: KuaiRec's files, typed, without duplicates and bad rows."""

import pandera.polars as pa
import polars as pl

from schemas.column_contracts import holding
from schemas.features import UtcMs
from schemas.order import ascending_by
from schemas.raw_columns import CAPTION_COLUMNS, DAILY_COLUMNS, USER_COLUMNS

MOST_COUNT = 10**12
"""More than one day can hold of anything; sums of counts stay far below what int64 holds."""
MOST_MS = 10**15
"""Likewise of milliseconds: 31,700 years."""


class Interactions(pa.DataFrameModel):
    """One row per view event of the ordinary log (big_matrix.csv), duplicates removed."""

    user_id: pl.Int32 = pa.Field(ge=0)
    video_id: pl.Int32 = pa.Field(ge=0)
    viewed_at: UtcMs
    play_duration_ms: pl.Int32 = pa.Field(ge=0)
    video_duration_ms: pl.Int32 = pa.Field(gt=0)
    watch_ratio: pl.Float64 = pa.Field(ge=0)

    ascending = ascending_by(
        "user_id", "viewed_at", "video_id", "play_duration_ms", "video_duration_ms"
    )

    class Config:
        """Closed, and in the order of its grain."""

        strict = True


class SmallMatrix(pa.DataFrameModel):
    """One row per observed cell of the fully observed block (small_matrix.csv)."""

    user_id: pl.Int32 = pa.Field(ge=0)
    video_id: pl.Int32 = pa.Field(ge=0)
    viewed_at: UtcMs = pa.Field(nullable=True)
    stage: pl.Int8 = pa.Field(
        isin=[1, 2],
        nullable=True,
        description="1: ordinary exposure (has a time); 2: forced; null: the file has no times",
    )
    play_duration_ms: pl.Int32 = pa.Field(ge=0)
    video_duration_ms: pl.Int32 = pa.Field(gt=0)
    watch_ratio: pl.Float64 = pa.Field(ge=0)

    ascending = ascending_by("user_id", "video_id")

    class Config:
        """Closed, and in the order of its grain."""

        strict = True


@holding(USER_COLUMNS)
class RawUsers(pa.DataFrameModel):
    """One row per user (user_features.csv)."""

    user_id: pl.Int32 = pa.Field(ge=0, unique=True)

    class Config:
        """Closed."""

        strict = True


class VideoTags(pa.DataFrameModel):
    """One row per video (item_categories.csv)."""

    video_id: pl.Int32 = pa.Field(ge=0, unique=True)
    tags: pl.List(pl.Int16)  # type: ignore[valid-type]

    class Config:
        """Closed."""

        strict = True


@holding(DAILY_COLUMNS)
class VideoDailyStats(pa.DataFrameModel):
    """One row per (video, day): the whole app's counts of that day (item_daily_features.csv)."""

    video_id: pl.Int32 = pa.Field(ge=0)
    day: pl.Date
    play_progress: pl.Float64 = pa.Field(ge=0, nullable=True)
    play_duration_ms: pl.Int64 = pa.Field(ge=0, le=MOST_MS, nullable=True)
    comment_stay_duration_ms: pl.Int64 = pa.Field(ge=0, le=MOST_MS, nullable=True)
    counts: pl.Int64 = pa.Field(
        alias=r"^[a-z_]+_cnt$", regex=True, ge=0, le=MOST_COUNT, nullable=True
    )
    user_counts: pl.Int64 = pa.Field(
        alias=r"^[a-z_]+_user_num$", regex=True, ge=0, le=MOST_COUNT, nullable=True
    )

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("video_id", "day")


class FriendLists(pa.DataFrameModel):
    """One row per user who has friends (social_network.csv)."""

    user_id: pl.Int32 = pa.Field(ge=0, unique=True)
    friend_ids: pl.List(pl.Int32)  # type: ignore[valid-type]

    class Config:
        """Closed."""

        strict = True


@holding(CAPTION_COLUMNS)
class Captions(pa.DataFrameModel):
    """One row per video: texts and three category levels (kuairec_caption_category.csv)."""

    video_id: pl.Int32 = pa.Field(ge=0, unique=True)

    class Config:
        """Closed."""

        strict = True


class Rejects(pa.DataFrameModel):
    """One row per row of a raw file that was refused, with the first rule it breaks."""

    file: pl.String
    row_number: pl.Int64 = pa.Field(ge=1, description="data row in the file; the header is row 0")
    column: pl.String
    rule: pl.String
    value: pl.String = pa.Field(nullable=True, description="the text as it stands in the file")

    class Config:
        """Closed, and unique on the grain."""

        strict = True
        unique = ("file", "row_number")


class Coverage(pa.DataFrameModel):
    """One row per file that should know the users or videos of another: how many it does."""

    file: pl.String = pa.Field(unique=True)
    column: pl.String = pa.Field(isin=["user_id", "video_id"])
    of: pl.String
    ids: pl.Int64 = pa.Field(ge=0, description="distinct ids in the other file")
    covered: pl.Int64 = pa.Field(ge=0, description="those that this file has a row for")
    share: pl.Float64 = pa.Field(ge=0, le=1)

    class Config:
        """Closed."""

        strict = True
