"""``item_daily_features.csv``: the app's own totals of every video on every day.

Plays grow with the planted popularity. What people do after a play carries a noisy trace of the
planted quality, and each kind of reaction a noise of its own: a video can be liked more than it is
watched. Counts of a day are drawn down a tree: shows, plays, likes, ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.demo_world.calendar import FIRST_DATE, LAST_DAY, yyyymmdd
from tasks.demo_world.captions import SUB_NAMES, TAG_NAMES
from tasks.demo_world.random_streams import Stream, stream
from tasks.demo_world.videos import Ints, Videos

CHUNK_VIDEOS = 512
PRESENT_SHARE = 0.625
"""Share of a video's days that have a row: 32 rows a video in the mean, as published."""
SHOWS_MEDIAN = 9_000.0
SHOWS_SD, SHOWS_BY_RANK = 1.0, 3.0
"""Spread of log shows, and its rise from the rarest to the most popular video."""
REACTION_NOISE_SD = 0.25
"""What moves one kind of reaction to a video beyond the planted quality, in logits of quality."""
COMPLETION_BY_LENGTH = -0.5
"""Logits of completion per log length: people watch as long whatever the length."""
NO_LENGTH_SHARE, NO_TAG_NAME_SHARE = 0.031, 0.094
COLLECT_FROM_DAY = 14
"""The collect columns are empty before."""


class Reaction(IntEnum):
    """Ways in which an audience answers; how it answers in one says little of the others."""

    WATCH = 0
    LIKE = 1
    TALK = 2
    KEEP = 3


@dataclass(frozen=True)
class Count:
    """A daily count: a share of its parent count, more of it for a better video."""

    name: str
    parent: str
    share: float
    quality: float = 0.0
    """Logits of the share gained per logit of how the video does in this reaction."""
    reaction: Reaction = Reaction.WATCH
    length: float = 0.0
    """Logits of the share gained per log of the video's length over the median one."""


COUNTS = (
    Count("show_user_num", "show_cnt", 0.82),
    Count("play_cnt", "show_cnt", 0.55, 0.3),
    Count("play_user_num", "play_cnt", 0.85),
    Count("complete_play_cnt", "play_cnt", 0.38, 0.8, length=COMPLETION_BY_LENGTH),
    Count("complete_play_user_num", "complete_play_cnt", 0.87),
    Count("valid_play_cnt", "play_cnt", 0.58, 0.8),
    Count("valid_play_user_num", "valid_play_cnt", 0.88),
    Count("long_time_play_cnt", "play_cnt", 0.30, 0.8),
    Count("long_time_play_user_num", "long_time_play_cnt", 0.88),
    Count("short_time_play_cnt", "play_cnt", 0.27, -0.8),
    Count("short_time_play_user_num", "short_time_play_cnt", 0.92),
    Count("like_cnt", "play_cnt", 0.025, 1.5, Reaction.LIKE),
    Count("like_user_num", "like_cnt", 0.98),
    Count("click_like_cnt", "like_cnt", 0.55),
    Count("double_click_cnt", "like_cnt", 0.45),
    Count("cancel_like_cnt", "like_cnt", 0.04),
    Count("cancel_like_user_num", "cancel_like_cnt", 0.97),
    Count("comment_cnt", "play_cnt", 0.0025, 0.8, Reaction.TALK),
    Count("comment_user_num", "comment_cnt", 0.85),
    Count("direct_comment_cnt", "comment_cnt", 0.7),
    Count("reply_comment_cnt", "comment_cnt", 0.3),
    Count("delete_comment_cnt", "comment_cnt", 0.03),
    Count("delete_comment_user_num", "delete_comment_cnt", 0.9),
    Count("comment_like_cnt", "play_cnt", 0.003, 0.8, Reaction.TALK),
    Count("comment_like_user_num", "comment_like_cnt", 0.7),
    Count("follow_cnt", "play_cnt", 0.002, 1.0, Reaction.LIKE),
    Count("follow_user_num", "follow_cnt", 0.99),
    Count("cancel_follow_cnt", "follow_cnt", 0.08),
    Count("cancel_follow_user_num", "cancel_follow_cnt", 0.98),
    Count("share_cnt", "play_cnt", 0.0008, 1.0, Reaction.KEEP),
    Count("share_user_num", "share_cnt", 0.9),
    Count("download_cnt", "play_cnt", 0.0006, 0.8, Reaction.KEEP),
    Count("download_user_num", "download_cnt", 0.95),
    Count("report_cnt", "play_cnt", 0.00004, -1.0, Reaction.TALK),
    Count("report_user_num", "report_cnt", 0.95),
    Count("reduce_similar_cnt", "play_cnt", 0.0002, -1.0, Reaction.LIKE),
    Count("reduce_similar_user_num", "reduce_similar_cnt", 0.97),
    Count("collect_cnt", "play_cnt", 0.0012, 1.0, Reaction.KEEP),
    Count("collect_user_num", "collect_cnt", 0.98),
    Count("cancel_collect_cnt", "collect_cnt", 0.05),
    Count("cancel_collect_user_num", "cancel_collect_cnt", 0.98),
)

UPLOAD_TYPES = (
    *(("ShortImport", 0.44), ("LongImport", 0.27), ("ShortCamera", 0.10), ("Web", 0.06)),
    *(("LongCamera", 0.05), ("PictureSet", 0.03), ("Kmovie", 0.03), ("PhotoCopy", 0.02)),
)
SIZES = ((720, 1280), (720, 1280), (720, 1280), (1080, 1920), (540, 960), (1280, 720))


def daily_tables(videos: Videos, seed: int) -> Iterator[pl.DataFrame]:
    """Yield one row per video and day on which it was shown, in chunks of videos."""
    for number, start in enumerate(range(0, len(videos), CHUNK_VIDEOS)):
        rng = stream(seed, Stream.DAILY, number)
        video_id = np.arange(start, min(start + CHUNK_VIDEOS, len(videos)))
        row, day = _draw_days(videos, video_id, rng)
        about = _describe(videos, video_id, rng)
        columns = {name: values.gather(row) for name, values in about.items()}
        counts = _draw_counts(videos, video_id, row, rng)
        counts |= _derived(videos.duration_ms[video_id[row]], counts, rng)
        unknown = pl.Series(day < COLLECT_FROM_DAY)
        for name in [name for name in counts if "collect" in name]:
            counts[name] = counts[name].set(unknown, None)
        yield pl.DataFrame(columns | {"date": yyyymmdd(day)} | counts)


def _draw_days(videos: Videos, video_id: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw the days with a row since the upload: row of the chunk and day, the upload included."""
    first = np.maximum(videos.upload_day[video_id], 0)[:, None]
    days = np.arange(LAST_DAY + 1)
    share = PRESENT_SHARE * (0.7 + 0.6 * videos.rank[video_id])[:, None]
    shown = rng.random((len(video_id), len(days))) < share
    row, day = np.nonzero((shown & (days >= first)) | (days == first))
    return row, day


def _describe(videos: Videos, video_id: Ints, rng: np.random.Generator) -> dict[str, pl.Series]:
    """Return what does not change from day to day (n,): author, type, upload, size, music, tag."""
    n = len(video_id)
    kinds, shares = zip(*UPLOAD_TYPES, strict=True)
    size = np.array(SIZES)[rng.integers(len(SIZES), size=n)]
    uploaded = FIRST_DATE + videos.upload_day[video_id].astype("timedelta64[D]")
    sub = videos.sub[video_id]
    names = np.array([f"{tag}{kind}" for tag in TAG_NAMES for kind in SUB_NAMES])[sub]
    length = pl.Series(videos.duration_ms[video_id].astype(np.float64))
    described: dict[str, NDArray[Any] | pl.Series] = {
        "video_id": video_id,
        # Sparse numbers: author ids must not look like user ids.
        "author_id": 10_000 + 7 * videos.author[video_id],
        "video_type": np.where(rng.random(n) < 0.03, "AD", "NORMAL"),
        "upload_dt": np.datetime_as_string(uploaded, unit="D"),
        "upload_type": rng.choice(kinds, n, p=np.array(shares) / sum(shares)),
        "visible_status": np.where(rng.random(n) < 0.985, "public", "private"),
        "video_duration": length.set(pl.Series(rng.random(n) < NO_LENGTH_SHARE), None),
        "video_width": size[:, 0],
        "video_height": size[:, 1],
        "music_id": 3_000_000_000 + rng.geometric(0.0008, n) * 97,
        "video_tag_id": 500 + sub,
        "video_tag_name": pl.Series(names).set(pl.Series(rng.random(n) < NO_TAG_NAME_SHARE), None),
    }
    return {name: pl.Series(values) for name, values in described.items()}


def _draw_counts(
    videos: Videos, video_id: Ints, row: Ints, rng: np.random.Generator
) -> dict[str, pl.Series]:
    """Draw the day's counts (rows,): log-normal shows, then each count as a share of its parent."""
    n = len(video_id)
    level = SHOWS_BY_RANK * (videos.rank[video_id] - 0.5) + rng.normal(0, SHOWS_SD, n)
    shows = SHOWS_MEDIAN * np.exp(level[row] + rng.normal(0, 0.5, len(row)))
    drawn: dict[str, NDArray[np.int64]] = {"show_cnt": np.rint(shows).astype(np.int64)}
    noise = rng.normal(0, REACTION_NOISE_SD, (len(Reaction), n))
    felt = videos.quality[video_id] + noise
    length = np.log(videos.duration_ms[video_id] / np.median(videos.duration_ms))
    for count in COUNTS:
        lift = count.quality * felt[count.reaction] + count.length * length
        odds = count.share / (1 - count.share) * np.exp(lift)[row]
        drawn[count.name] = rng.binomial(drawn[count.parent], odds / (1 + odds))
    return {name: pl.Series(values) for name, values in drawn.items()}


def _derived(
    duration_ms: Ints, counts: dict[str, pl.Series], rng: np.random.Generator
) -> dict[str, pl.Series]:
    """Return play_duration, play_progress and comment_stay_duration (rows,) of the counts."""
    n, plays = len(duration_ms), counts["play_cnt"].to_numpy()
    mean_play_ms = 7_900 * rng.lognormal(0, 0.1, n)
    progress = np.minimum(mean_play_ms / duration_ms, 0.95)
    stay = counts["comment_cnt"].to_numpy() * 9_000 * rng.lognormal(0, 0.4, n)
    return {
        "play_duration": pl.Series((plays * mean_play_ms).astype(np.int64)),
        "play_progress": pl.Series(np.where(plays > 0, progress, 0.0)),
        "comment_stay_duration": pl.Series(stay.astype(np.int64)),
    }
