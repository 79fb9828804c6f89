"""The seven raw tables: which columns they have, what each must be, and what makes a row unique."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Self

import polars as pl

from schemas.ingested import MOST_COUNT, MOST_MS
from schemas.raw_files import ONEHOT_COLUMNS, RAW_FILES
from tasks.ingest import column_rules as rules
from tasks.ingest.clock import agreement
from tasks.ingest.column_rules import INT32_MAX, INT64_MAX, Column, Rule

NONE = ("UNKNOWN", "-124")
"""How the captions file writes a level that a video does not have."""

EPOCH = date(1970, 1, 1)
"""An upload that is so dated is merely unknown."""

USERS_A_BUCKET = 512
LAST_BUCKET = 63
"""Events are worked on in buckets of users: flat memory for KuaiRec's contiguous ids at any scale,
and right, if not flat, for ids beyond ``USERS_A_BUCKET * LAST_BUCKET``."""


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
        bucket=(pl.col("user_id") // USERS_A_BUCKET).clip(0, LAST_BUCKET).fill_null(0),
    )


def _count(raw: str) -> Column:
    return rules.whole(raw, high=MOST_COUNT, nullable=True)


def _nullable(raw: str, name: str | None = None, high: int = INT32_MAX, low: int = 0) -> Column:
    return rules.whole(raw, name, low=low, high=high, nullable=True)


_LEVELS = (("first", 1), ("second", 2), ("third", 3))

RAW_TABLES: Mapping[str, RawTable] = {
    "interactions": _events(is_block=False),
    "block": _events(is_block=True),
    "users": RawTable(
        columns=(
            rules.whole("user_id"),
            rules.text("user_active_degree", unknown=("UNKNOWN",)),
            *(
                rules.flag(c)
                for c in ("is_lowactive_period", "is_live_streamer", "is_video_author")
            ),
            *(
                column
                for stem in ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
                for column in (_nullable(stem), rules.text(f"{stem}_range"))
            ),
            *(_nullable(c) for c in ONEHOT_COLUMNS),
        ),
        key=("user_id",),
    ),
    "videos": RawTable(
        columns=(rules.whole("video_id"), rules.id_list("feat", "tags", pl.Int16, 2**15 - 1)),
        key=("video_id",),
    ),
    "daily": RawTable(
        columns=(
            rules.whole("video_id"),
            rules.day("date", "day", "%Y%m%d"),
            _nullable("author_id", high=INT64_MAX),
            rules.text("video_type"),
            rules.day("upload_dt", "uploaded_on", "%Y-%m-%d", nullable=True, first=EPOCH),
            rules.text("upload_type"),
            rules.text("visible_status"),
            _nullable("video_duration", "video_duration_ms", low=1),
            _nullable("video_width"),
            _nullable("video_height"),
            _nullable("music_id", high=INT64_MAX),
            _nullable("video_tag_id", high=INT64_MAX),
            rules.text("video_tag_name"),
            rules.real("play_progress", nullable=True),
            _nullable("play_duration", "play_duration_ms", high=MOST_MS),
            _nullable("comment_stay_duration", "comment_stay_duration_ms", high=MOST_MS),
            *(_count(c) for c in RAW_FILES["daily"].columns if c.endswith(("_cnt", "_user_num"))),
        ),
        key=("video_id", "day"),
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
            *(rules.text(c, unknown=NONE) for c in ("manual_cover_text", "caption", "topic_tag")),
            *(
                column
                for word, level in _LEVELS
                for column in (
                    rules.whole(
                        f"{word}_level_category_id",
                        f"category_{level}_id",
                        nullable=True,
                        unknown=NONE,
                    ),
                    rules.text(
                        f"{word}_level_category_name", f"category_{level}_name", unknown=NONE
                    ),
                )
            ),
        ),
        key=("video_id",),
    ),
}
