"""The seven raw tables: which columns they have, what each must be, and what makes a row unique."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import polars as pl

from schemas.ingested import MOST_COUNT, MOST_MS
from schemas.raw_columns import CAPTION_COLUMNS, DAILY_COLUMNS, INT32_MAX, USER_COLUMNS
from schemas.raw_files import RAW_FILES
from tasks.ingest import column_rules as rules
from tasks.ingest.clock import agreement
from tasks.ingest.column_rules import Column, Rule

USERS_A_BUCKET = 512
VIDEOS_A_BUCKET = 2048
LAST_BUCKET = 255
"""Events are worked on in buckets of users, daily figures of videos: flat memory for KuaiRec's
contiguous ids at any scale, and right, if not flat, for ids beyond those of the buckets."""


@dataclass(frozen=True)
class RawTable:
    """One raw table. ``key``: its unique columns, also the order of its rows."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    tiebreak: str | None = None
    """A raw column in which equal rows may differ and still be duplicates."""
    bucket: pl.Expr | None = None
    """Cuts a table too large for memory; equal keys fall into one bucket."""

    def believed_until(self, latest: datetime) -> Self:
        """Return the same table with the rules that nothing in it is dated after ``latest``."""
        past = (c.dated.past(latest) for c in self.columns if c.dated is not None)
        return replace(self, rules=(*past, *self.rules))


def bucket_of(key: str, size: int) -> pl.Expr:
    """Return the bucket of a row by an id: ``size`` ids each, and the last has all beyond."""
    return (pl.col(key) // size).clip(0, LAST_BUCKET).fill_null(0)


def _events(*, is_block: bool) -> RawTable:
    return RawTable(
        columns=(
            rules.whole("user_id"),
            rules.whole("video_id"),
            rules.moment("timestamp", "viewed_at", nullable=is_block),
            rules.whole("play_duration", "play_duration_ms"),
            rules.whole("video_duration", "video_duration_ms", low=1),
            rules.real("watch_ratio"),
        ),
        key=("user_id", "video_id")
        if is_block
        else ("user_id", "viewed_at", "video_id", "play_duration_ms", "video_duration_ms"),
        rules=(
            rules.ratio_agrees("watch_ratio", "play_duration", "video_duration"),
            *agreement("timestamp", "time", "date"),
        ),
        tiebreak=None if is_block else "date",
        bucket=bucket_of("user_id", USERS_A_BUCKET),
    )


def _count(raw: str) -> Column:
    return rules.whole(raw, high=MOST_COUNT, nullable=True)


def _spent(raw: str) -> Column:
    return rules.whole(raw, f"{raw}_ms", high=MOST_MS, nullable=True)


RAW_TABLES: Mapping[str, RawTable] = {
    "interactions": _events(is_block=False),
    "small_matrix": _events(is_block=True),
    "users": RawTable(
        columns=(
            rules.whole("user_id"),
            *map(rules.declared, USER_COLUMNS),
        ),
        key=("user_id",),
    ),
    "video_tags": RawTable(
        columns=(rules.whole("video_id"), rules.id_list("feat", "tags", pl.Int16, 2**15 - 1)),
        key=("video_id",),
    ),
    "video_daily_stats": RawTable(
        columns=(
            rules.whole("video_id"),
            rules.day("date", "day", "%Y%m%d"),
            *map(rules.declared, DAILY_COLUMNS),
            rules.real("play_progress", nullable=True),
            _spent("play_duration"),
            _spent("comment_stay_duration"),
            *(
                _count(c)
                for c in RAW_FILES["video_daily_stats"].columns
                if c.endswith(("_cnt", "_user_num"))
            ),
        ),
        key=("video_id", "day"),
        bucket=bucket_of("video_id", VIDEOS_A_BUCKET),
    ),
    "friends": RawTable(
        columns=(
            rules.whole("user_id"),
            rules.id_list("friend_list", "friend_ids", pl.Int32, INT32_MAX),
        ),
        key=("user_id",),
    ),
    "captions": RawTable(
        columns=(
            rules.whole("video_id"),
            *map(rules.declared, CAPTION_COLUMNS),
        ),
        key=("video_id",),
    ),
}
