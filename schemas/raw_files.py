"""KuaiRec's files as their authors publish them: names, columns, and which of them may be absent.

Not here: what the rows must look like once read (``schemas.ingested``).
"""

from dataclasses import dataclass

from schemas.raw_columns import CAPTION_COLUMNS, DAILY_COLUMNS, USER_COLUMNS

_EVENT_COLUMNS = (
    "user_id",
    "video_id",
    "play_duration",
    "video_duration",
    "time",
    "date",
    "timestamp",
    "watch_ratio",
)


@dataclass(frozen=True)
class RawFile:
    """One CSV file: its name, its header in order, and whether ingest can do without it."""

    file_name: str
    columns: tuple[str, ...]
    is_required: bool
    costs: str = ""
    """What a run without this optional file cannot do."""
    is_quoted: bool = True
    """Whether fields may stand in quotes; where they may not, every line is one row."""
    has_nulls: bool = True
    """Whether a value may be absent from a good row, by whatever word its writer used."""


RAW_FILES: dict[str, RawFile] = {
    "interactions": RawFile(
        "big_matrix.csv", _EVENT_COLUMNS, is_required=True, is_quoted=False, has_nulls=False
    ),
    "small_matrix": RawFile("small_matrix.csv", _EVENT_COLUMNS, is_required=True, is_quoted=False),
    "users": RawFile(
        "user_features.csv",
        ("user_id", *(column.raw for column in USER_COLUMNS)),
        is_required=True,
    ),
    "video_tags": RawFile("item_categories.csv", ("video_id", "feat"), is_required=True),
    "video_daily_stats": RawFile(
        "item_daily_features.csv",
        (
            *("video_id", "date", *(column.raw for column in DAILY_COLUMNS)),
            *("show_cnt", "show_user_num", "play_cnt"),
            *("play_user_num", "play_duration", "complete_play_cnt", "complete_play_user_num"),
            *("valid_play_cnt", "valid_play_user_num", "long_time_play_cnt"),
            *("long_time_play_user_num", "short_time_play_cnt", "short_time_play_user_num"),
            *("play_progress", "comment_stay_duration", "like_cnt", "like_user_num"),
            *("click_like_cnt", "double_click_cnt", "cancel_like_cnt", "cancel_like_user_num"),
            *("comment_cnt", "comment_user_num", "direct_comment_cnt", "reply_comment_cnt"),
            *("delete_comment_cnt", "delete_comment_user_num", "comment_like_cnt"),
            *("comment_like_user_num", "follow_cnt", "follow_user_num", "cancel_follow_cnt"),
            *("cancel_follow_user_num", "share_cnt", "share_user_num", "download_cnt"),
            *("download_user_num", "report_cnt", "report_user_num", "reduce_similar_cnt"),
            *("reduce_similar_user_num", "collect_cnt", "collect_user_num"),
            *("cancel_collect_cnt", "cancel_collect_user_num"),
        ),
        is_required=False,
        costs="no authors, video types or like/view ratios; lengths come from the log alone",
    ),
    "friends": RawFile(
        "social_network.csv",
        ("user_id", "friend_list"),
        is_required=False,
        costs="the friends model cannot serve anybody",
    ),
    "captions": RawFile(
        "kuairec_caption_category.csv",
        ("video_id", *(column.raw for column in CAPTION_COLUMNS)),
        is_required=False,
        costs="no captions, no category levels and no tag names; tags are shown as numbers",
    ),
}
