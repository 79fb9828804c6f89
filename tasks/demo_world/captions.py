"""``item_categories.csv`` and ``kuairec_caption_category.csv``: what is written about videos.

Names and words are made up. Words are drawn from the planted factors, the second category level is
the planted subcategory and the third a noisy cut of a factor, so that content can be learned from.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.demo_world.random_streams import Stream, stream
from tasks.demo_world.videos import Floats, Ints, Videos

NONE_ID, NONE_NAME = -124, "UNKNOWN"
"""How the original says that there is none."""
TAG_NAMES = (
    *("综合", "舞蹈", "音乐", "游戏", "美妆", "时尚", "明星", "运动", "颜值", "喜剧", "旅行"),
    *("生活", "美食", "乡村", "教育", "艺术", "健康", "宠物", "汽车", "情感", "动漫", "文化"),
    *("财经", "时事", "星座", "亲子", "摄影", "数码", "民生", "科学", "知识"),
)
"""First category level and tag are one space: name of id 0..30."""
SUB_NAMES = ("日常", "分享", "技巧", "现场")
THIRD_NAMES = ("入门", "进阶", "精选")
SYLLABLES = "春夏秋冬山水风花雪月星云海天光影人家新老大小好快乐心情梦想"
N_WORDS, WORDS_PER_CAPTION = 600, 8
WORD_TILT = 1.5
"""How strongly a caption's words follow the video's factors."""
FIRST_OFF_SHARE = 0.12
"""Videos whose first level is not their first tag."""
SECOND_SHARE, THIRD_SHARE = 0.67, 0.54
"""Videos with a second level, and those of them with a third."""
NO_CAPTION_SHARE, TOPIC_SHARE, COVER_SHARE = 0.126, 0.57, 0.38
CHUNK_VIDEOS = 2_048


def category_table(videos: Videos) -> pl.DataFrame:
    """Return the tag lists as text, one row per video."""
    feat = [str([int(tag) for tag in row if tag >= 0]) for row in videos.tags]
    return pl.DataFrame({"video_id": np.arange(len(videos)), "feat": feat})


def caption_tables(videos: Videos, seed: int) -> Iterator[pl.DataFrame]:
    """Yield captions and category levels, one row per video, in chunks of videos."""
    rng = stream(seed, Stream.CAPTIONS)
    vocabulary = _make_words(rng)
    directions = rng.standard_normal((N_WORDS, videos.factors.shape[1])).astype(np.float32)
    for start in range(0, len(videos), CHUNK_VIDEOS):
        video_id = np.arange(start, min(start + CHUNK_VIDEOS, len(videos)))
        words = vocabulary[_draw_words(videos.factors[video_id], directions, rng)]
        levels = _category_levels(videos, video_id, rng)
        yield pl.DataFrame({"video_id": video_id} | _texts(words, rng) | levels)


def _make_words(rng: np.random.Generator) -> NDArray[np.str_]:
    """Return N_WORDS different words of two syllables."""
    pairs = [first + second for first in SYLLABLES for second in SYLLABLES if first != second]
    return rng.permutation(np.array(pairs))[:N_WORDS]


def _draw_words(factors: Floats, directions: Floats, rng: np.random.Generator) -> Ints:
    """Draw different words (n, 8) with P(w) ~ exp(-ln(rank + 5) + tilt e_w . f_v / sqrt K)."""
    tilt = WORD_TILT * factors @ directions.T / np.sqrt(factors.shape[1])
    keys = tilt - np.log(np.arange(N_WORDS) + 5.0) + rng.gumbel(size=tilt.shape)
    return np.argsort(-keys, axis=1)[:, :WORDS_PER_CAPTION]


def _texts(words: NDArray[np.str_], rng: np.random.Generator) -> dict[str, pl.Series]:
    """Return cover text, caption and topics (n,) of the words (n, 8); some have none."""
    n = len(words)
    has_topics, has_cover = rng.random(n) < TOPIC_SHARE, rng.random(n) < COVER_SHARE
    captions, topics = [], []
    for row, tagged in zip(words, has_topics, strict=True):
        plain = " ".join(row[2:])
        captions.append(f"#{row[0]} #{row[1]} {plain}" if tagged else " ".join(row))
        topics.append(f"[{row[0]},{row[1]}]" if tagged else "[]")
    has_none = pl.Series(rng.random(n) < NO_CAPTION_SHARE)
    return {
        "manual_cover_text": pl.Series(np.where(has_cover, words[:, 2], NONE_NAME)),
        "caption": pl.Series(captions).set(has_none, None),
        "topic_tag": pl.Series(topics),
    }


def _category_levels(
    videos: Videos, video_id: Ints, rng: np.random.Generator
) -> dict[str, NDArray[np.int64] | list[str]]:
    """Return id and name of the three category levels of some videos; lower ones may be none."""
    n, main = len(video_id), videos.tags[video_id, 0].astype(np.int64)
    is_off = rng.random(n) < FIRST_OFF_SHARE
    first = np.where(is_off, rng.integers(len(TAG_NAMES), size=n), main)
    has_second = ~is_off & (rng.random(n) < SECOND_SHARE / (1 - FIRST_OFF_SHARE))
    sub = videos.sub[video_id]
    noisy = videos.factors[video_id, 0] + rng.normal(0, 0.5, n)
    third = sub * len(THIRD_NAMES) + np.digitize(noisy, [-0.5, 0.5])
    has_third = has_second & (rng.random(n) < THIRD_SHARE)
    sub_names = [f"{tag}{kind}" for tag in TAG_NAMES for kind in SUB_NAMES]
    third_names = [f"{name}{kind}" for name in sub_names for kind in THIRD_NAMES]
    return {
        "first_level_category_id": first,
        "first_level_category_name": [TAG_NAMES[tag] for tag in first],
        "second_level_category_id": np.where(has_second, 600 + sub, NONE_ID),
        "second_level_category_name": _names(sub_names, sub, has_second),
        "third_level_category_id": np.where(has_third, 2_000 + third, NONE_ID),
        "third_level_category_name": _names(third_names, third, has_third),
    }


def _names(names: list[str], place: Ints, has_one: NDArray[np.bool_]) -> list[str]:
    """Return the name at each place (n,), or the original's word for none."""
    return [names[i] if one else NONE_NAME for i, one in zip(place, has_one, strict=True)]
