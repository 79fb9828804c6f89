"""Columns of KuaiRec's descriptive files: the name, type, rule and use of each, declared once.

From here come the files' headers (``schemas.raw_files``), what a field must be
(``tasks.ingest.raw_tables``), the columns of the ingested and of the feature tables, and which of
them the two-tower model encodes. Not here: keys, logs, a day's counts, lists of ids, and features
that are worked out (``tasks.features``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
FIRST_DAY = date(2000, 1, 1)
"""Before it no day is believed, but where a file is known to write another for an unknown one."""
EPOCH = date(1970, 1, 1)
"""An upload that is so dated is merely unknown."""
NONE = ("UNKNOWN", "-124")
"""How the captions file writes a level that a video does not have."""

Use = Literal["category", "number", "named"]
"""How a column is a feature: encoded as a category or as a number, or read by who names it."""
USES: tuple[Use, ...] = ("category", "number", "named")


@dataclass(frozen=True)
class RawColumn:
    """A column of a raw file, in which any field may be empty.

    ``type`` is a whole number from ``low`` to ``high``, a finite number not below 0, 0 or 1, any
    text, or a day from ``first`` on that is written as ``form``.
    """

    raw: str
    type: Literal["whole", "real", "flag", "text", "day"]
    use: Use | None = None
    """None: it is ingested, and no feature."""
    name: str = ""
    """In our tables; empty: as in the file."""
    low: int = 0
    high: int = INT32_MAX
    unknown: tuple[str, ...] = ()
    """Texts that mean null."""
    form: str = ""
    first: date = FIRST_DAY
    words: str | None = None

    @property
    def column(self) -> str:
        """Its name in our tables."""
        return self.name or self.raw

    @property
    def dtype(self) -> Any:
        """The Polars type of its values."""
        if self.type == "whole" and self.high > INT32_MAX:
            return pl.Int64
        types = {"real": pl.Float64, "flag": pl.Boolean, "text": pl.String, "day": pl.Date}
        return types.get(self.type, pl.Int32)


def _with_range(stem: str) -> tuple[RawColumn, RawColumn]:
    return RawColumn(stem, "whole", "number"), RawColumn(f"{stem}_range", "text", "category")


USER_COLUMNS = (
    RawColumn("user_active_degree", "text", "category", unknown=("UNKNOWN",)),
    RawColumn("is_lowactive_period", "flag", "category"),
    RawColumn("is_live_streamer", "flag", "category"),
    RawColumn("is_video_author", "flag", "category"),
    *_with_range("follow_user_num"),
    *_with_range("fans_user_num"),
    *_with_range("friend_user_num"),
    *_with_range("register_days"),
    *(RawColumn(f"onehot_feat{i}", "whole", "category") for i in range(18)),
)
"""Of user_features.csv, in its order."""

DAILY_COLUMNS = (
    RawColumn("author_id", "whole", "category", high=INT64_MAX),
    RawColumn("video_type", "text", "category", words="NORMAL or AD"),
    RawColumn("upload_dt", "day", "named", "uploaded_on", form="%Y-%m-%d", first=EPOCH),
    RawColumn("upload_type", "text", "category"),
    RawColumn("visible_status", "text"),
    RawColumn("video_duration", "whole", name="video_duration_ms", low=1),
    RawColumn("video_width", "whole"),
    RawColumn("video_height", "whole"),
    RawColumn("music_id", "whole", high=INT64_MAX),
    RawColumn("video_tag_id", "whole", high=INT64_MAX),
    RawColumn("video_tag_name", "text"),
)
"""What item_daily_features.csv says of a video, in its order; the latest known is the feature."""

CAPTION_COLUMNS = (
    RawColumn("manual_cover_text", "text", unknown=NONE),
    RawColumn("caption", "text", "named", unknown=NONE),
    RawColumn("topic_tag", "text", unknown=NONE),
    RawColumn("first_level_category_id", "whole", "category", "category_1_id", unknown=NONE),
    RawColumn("first_level_category_name", "text", name="category_1_name", unknown=NONE),
    RawColumn("second_level_category_id", "whole", "category", "category_2_id", unknown=NONE),
    RawColumn("second_level_category_name", "text", name="category_2_name", unknown=NONE),
    RawColumn("third_level_category_id", "whole", "category", "category_3_id", unknown=NONE),
    RawColumn("third_level_category_name", "text", name="category_3_name", unknown=NONE),
)
"""Of kuairec_caption_category.csv, in its order."""


def features_among(columns: Iterable[RawColumn], *uses: Use) -> dict[str, Any]:
    """Return the columns that are features of these ``uses`` (all by default): dtype by name.

    Categories first, then numbers, then the others; within a use as declared.
    """
    declared = tuple(columns)
    return {c.column: c.dtype for use in uses or USES for c in declared if c.use == use}
