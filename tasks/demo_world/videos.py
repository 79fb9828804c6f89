"""Steps 1 to 3: videos with tags, authors, factors, quality, length, popularity and upload day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.demo_world.calendar import FIRST_COLD_DAY, GAPS, LAST_DAY
from tasks.demo_world.params import Taste, WorldShape
from tasks.demo_world.random_streams import Stream, even_normal, even_uniform, stream

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

TAG_PER_MILLE = (
    *(2, 37, 17, 8, 13, 76, 72, 40, 88, 55, 13, 160, 42, 19, 5, 30),
    *(17, 28, 10, 54, 21, 2, 2, 3, 1, 37, 39, 2, 107, 1, 2),
)
"""How common each of KuaiRec's tags 0..30 is."""
TAGS_PER_VIDEO = (0.836, 0.146, 0.017, 0.001)
SUBS_PER_TAG = 4
LONGEST_S = 315.072

PI_RANKS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
PI_SHARES = (0.0003, 0.0052, 0.032, 0.31, 0.62, 0.9)
"""Share of users who see a video of that popularity rank; from the published views per video."""


@dataclass(frozen=True)
class Videos:
    """All videos; row v is video id v."""

    tags: NDArray[np.int8]
    """(n, 4) tag ids in the order of the file, -1 beyond the last."""
    sub: Ints
    """(n,) subcategory of the first tag, ``tag * SUBS_PER_TAG + 0..3``."""
    author: Ints
    factors: Floats
    """(n, K) latent factors f_v."""
    quality: Floats
    """(n,) q_v in logits."""
    duration_ms: Ints
    rank: Floats
    """(n,) popularity rank, 0 rarest to 1 most seen."""
    weight: Floats
    """(n,) exposure weight -ln(1 - pi)."""
    in_block: Flags
    is_cold: Flags
    upload_day: Ints
    """(n,) day 0 is July 5 2020; negative before."""

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.quality)

    def tag_means(self) -> Floats:
        """Return (n, 31): 1 / (number of the video's tags) at each of its tags."""
        held = np.zeros((len(self), len(TAG_PER_MILLE) + 1), dtype=np.float32)
        np.put_along_axis(held, self.tags.astype(np.int64), 1.0, axis=1)
        held = held[:, :-1]  # index -1 gathered the empty places
        return np.asarray(held / held.sum(axis=1, keepdims=True))


def draw_videos(shape: WorldShape, taste: Taste, seed: int) -> Videos:
    """Draw all videos of a world."""
    rng = stream(seed, Stream.VIDEOS)
    author = _draw_authors(shape, rng)
    tags = _draw_tags(author, rng)
    sub = tags[:, 0] * SUBS_PER_TAG + rng.integers(SUBS_PER_TAG, size=shape.videos)
    factors = _draw_factors(tags, sub, author, taste, rng)
    quality = _draw_quality(tags, author, taste, rng)
    is_short = np.zeros(shape.videos, dtype=bool)
    is_short[rng.choice(shape.videos, shape.short_videos, replace=False)] = True
    duration_ms = _draw_lengths(is_short, rng)
    rank = _draw_ranks(quality, is_short, taste, rng)
    in_block = _top(taste.block_tilt * rank + rng.gumbel(size=shape.videos), shape.block_videos)
    tilt = taste.cold_tilt * np.maximum(rank - taste.cold_tilt_from, 0)
    cold_keys = np.where(in_block | is_short, -np.inf, rng.gumbel(size=shape.videos) - tilt)
    is_cold = _top(cold_keys, shape.cold_videos)
    return Videos(
        tags=tags,
        sub=sub.astype(np.int64),
        author=author,
        factors=factors,
        quality=quality,
        duration_ms=duration_ms,
        rank=rank,
        weight=_exposure_weights(rank, in_block, taste),
        in_block=in_block,
        is_cold=is_cold,
        upload_day=_draw_upload_days(is_cold, rng),
    )


def _draw_authors(shape: WorldShape, rng: np.random.Generator) -> Ints:
    """Give every author one video and the other videos to few authors (Pareto); (n,) indices."""
    fame = rng.pareto(1.2, shape.authors)
    rest = shape.videos - shape.authors
    author = np.concatenate(
        [np.arange(shape.authors), rng.choice(shape.authors, rest, p=fame / fame.sum())]
    )
    return rng.permutation(author)


def _draw_tags(author: Ints, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw 1 to 4 different tags a video, (n, 4); 7 in 10 first tags are the author's own."""
    n, share = len(author), np.array(TAG_PER_MILLE) / sum(TAG_PER_MILLE)
    own = rng.choice(len(share), author.max() + 1, p=share)[author]
    # The smallest of exponential races with these rates: four tags without replacement.
    races = rng.standard_exponential((n, len(share))) / share
    follows = np.flatnonzero(rng.random(n) < 0.7)
    races[follows, own[follows]] = 0.0
    tags = np.argsort(races, axis=1)[:, :4].astype(np.int8)
    held = 1 + rng.choice(4, n, p=TAGS_PER_VIDEO)
    tags[np.arange(4) >= held[:, None]] = -1
    return tags


def _draw_factors(
    tags: NDArray[np.int8], sub: Ints, author: Ints, taste: Taste, rng: np.random.Generator
) -> Floats:
    """Draw latent factors f_v (n, K), partly shared by tag, subcategory and author."""
    axes, n = taste.axes, len(author)
    by_tag = rng.standard_normal((len(TAG_PER_MILLE) + 1, axes))
    by_tag[-1] = 0.0  # where tags is -1
    by_sub = rng.standard_normal((len(TAG_PER_MILLE) * SUBS_PER_TAG, axes))
    by_author = rng.standard_normal((author.max() + 1, axes))
    own = rng.standard_normal((n, axes))
    held = (tags >= 0).sum(axis=1, keepdims=True)
    own_share = 1.0 - taste.tag_share - taste.sub_share - taste.author_share
    mixed = (
        np.sqrt(taste.tag_share) * by_tag[tags].sum(axis=1) / np.sqrt(held)
        + np.sqrt(taste.sub_share) * by_sub[sub]
        + np.sqrt(taste.author_share) * by_author[author]
        + np.sqrt(own_share) * own
    )
    weights = taste.axis_decay ** np.arange(axes)
    weights *= np.sqrt(axes / (weights**2).sum())
    return np.asarray(mixed * weights, dtype=np.float32)


def _draw_quality(
    tags: NDArray[np.int8], author: Ints, taste: Taste, rng: np.random.Generator
) -> Floats:
    """Draw q_v (n,): what everybody likes about a video, partly its author's."""
    by_author = rng.standard_normal(author.max() + 1)[author]
    own = even_normal(len(author), rng)
    share = taste.quality_author_share
    mixed = taste.quality_sd * (np.sqrt(share) * by_author + np.sqrt(1 - share) * own)
    by_tag = taste.quality_tag_sd * rng.standard_normal(len(TAG_PER_MILLE))
    return np.asarray(mixed + by_tag[tags[:, 0]], dtype=np.float32)


def _draw_lengths(is_short: Flags, rng: np.random.Generator) -> Ints:
    """Draw durations (n,) in ms: most near 9.4 s, some long, few below 5 s, the shorts stratified.

    Only 20 to 40 shorts reach the block and they decide every figure of ``watch_ratio >= 2``, so
    they are spread evenly: worlds of different seeds would differ too much otherwise.
    """
    n = len(is_short)
    common, long = rng.lognormal(np.log(9.4), 0.29, n), rng.lognormal(np.log(24.0), 0.7, n)
    seconds = np.where(rng.random(n) < 0.87, common, long)
    seconds = np.where(seconds < 5.0, 5.0 + rng.uniform(0, 2.5, n), seconds)
    seconds = np.minimum(seconds, LONGEST_S)
    seconds[is_short] = 3.067 + (4.6 - 3.067) * even_uniform(int(is_short.sum()), rng)
    return np.asarray(np.rint(seconds * 1000), dtype=np.int64)


def _draw_ranks(quality: Floats, is_short: Flags, taste: Taste, rng: np.random.Generator) -> Floats:
    """Draw popularity ranks (n,) in 0..1, tied to quality by a Gaussian copula."""
    n, tie = len(quality), taste.quality_popularity
    latent = tie * quality / quality.std() + np.sqrt(1 - tie**2) * rng.standard_normal(n)
    rank = (np.argsort(np.argsort(latent)) + 0.5) / n
    lifted = even_uniform(int(is_short.sum()), rng)
    rank[is_short] = taste.short_rank + (1 - taste.short_rank) * lifted
    return rank.astype(np.float32)


def _exposure_weights(rank: Floats, in_block: Flags, taste: Taste) -> Floats:
    """Return w = -ln(1 - pi) with pi the share of users who see a video of that rank; (n,)."""
    share = np.exp(np.interp(rank, PI_RANKS, np.log(PI_SHARES)))
    share = np.where(in_block, np.maximum(share, taste.block_floor), share)
    return np.asarray(-np.log1p(-share), dtype=np.float32)


def _draw_upload_days(is_cold: Flags, rng: np.random.Generator) -> Ints:
    """Draw upload days (n,): before the log, one in five between its windows, cold ones late."""
    n = len(is_cold)
    before = -1 - np.floor(rng.exponential(30.0, n))
    gap_days = np.concatenate([np.arange(first, last + 1) for first, last in GAPS])
    day = np.where(rng.random(n) < 0.2, rng.choice(gap_days, n), before)
    day = np.where(is_cold, rng.integers(FIRST_COLD_DAY, LAST_DAY, n, endpoint=True), day)
    return np.asarray(day, dtype=np.int64)


def _top(keys: NDArray[np.float64], n: int) -> Flags:
    """Flag the n largest keys."""
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[np.argsort(keys)[len(keys) - n :]] = True
    return chosen
