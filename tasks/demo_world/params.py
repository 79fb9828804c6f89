"""How large a world is and how its taste is tuned: every constant of the spec is here.

Figures without a unit in the name are counts, shares (0 to 1) or logits. What KuaiRec's authors
publish is the target; where a value was tuned to reach a published figure, the docstring says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np

from schemas.errors import ConfigError

GENERATOR_VERSION = 4
"""Raised whenever the same scale and seed give other bytes."""

SMALLEST_SCALE, LARGEST_SCALE = 0.01, 4.0


def scale_range() -> tuple[float, float]:
    """Return the smallest and the largest scale that can be written, both included."""
    return SMALLEST_SCALE, LARGEST_SCALE


def check_scale(scale: float) -> None:
    """ConfigError unless ``scale`` is within ``scale_range()``; NaN is not."""
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ConfigError(
            f"a demo world of scale {scale} cannot be made:"
            f" take one from {SMALLEST_SCALE} to {LARGEST_SCALE}, where 1 is KuaiRec's size"
        )


@dataclass(frozen=True)
class WorldShape:
    """Counts of a world; the defaults are KuaiRec's own (scale 1)."""

    users: int = 7_176
    videos: int = 10_728
    block_users: int = 1_411
    block_videos: int = 3_327
    cold_videos: int = 1_482
    """Uploaded on August 30 or later."""
    short_videos: int = 129
    """Shorter than any other; with ``watch_ratio >= 2`` they decide the picture."""
    authors: int = 6_400
    friend_groups: tuple[tuple[int, int], ...] = ((2, 152), (3, 50), (4, 3), (6, 1))
    """(members, groups): 472 users with 1 to 5 friends and 670 list entries, as published."""
    friends_in_block: int = 146
    activity: float = 1.0
    """Factor on everybody's number of videos seen."""
    longest_rewatch: int = 2_224
    """Rows of the one pair that somebody left running."""
    chunk_cells: int = 2_750_000
    """Users x videos worked on at once; this and not the scale sets the memory."""

    @classmethod
    def at(cls, scale: float, density: float = 1.0) -> WorldShape:
        """Shrink or grow users, videos and what each user sees linearly with ``scale``.

        ``density`` is a further factor on what each user sees, of the same videos.
        """
        full = cls()

        def sized(count: int, least: int = 1) -> int:
            return max(least, round(count * scale))

        return replace(
            full,
            users=sized(full.users),
            videos=sized(full.videos),
            block_users=sized(full.block_users),
            block_videos=sized(full.block_videos),
            cold_videos=sized(full.cold_videos),
            short_videos=sized(full.short_videos),
            authors=sized(full.authors),
            friend_groups=tuple((size, sized(n)) for size, n in full.friend_groups[:2])
            + tuple((size, round(n * scale)) for size, n in full.friend_groups[2:]),
            friends_in_block=sized(full.friends_in_block),
            activity=scale * density,
            longest_rewatch=sized(round(full.longest_rewatch * min(scale, 1.0))),
        )

    @property
    def users_per_chunk(self) -> int:
        """Users worked on at once."""
        return max(1, self.chunk_cells // self.videos)


@dataclass(frozen=True)
class Taste:
    """Strengths of everything planted, in logits unless said; tuned to the published figures."""

    axes: int = 8
    """Latent factors K."""
    axis_decay: float = 0.9
    """Each axis matters this much of the one before."""
    tag_share: float = 0.2
    sub_share: float = 0.25
    author_share: float = 0.15
    """What of a video's factors its tag, subcategory and author tell; the rest is its own."""
    quality_sd: float = 0.225
    quality_author_share: float = 0.3
    quality_tag_sd: float = 0.05
    latent_sd: float = 0.97
    tag_sd: float = 0.2
    strength_sd: float = 0.8
    """How much people differ in the strength of their taste (log)."""
    group_sd: float = 1.3
    """Shared likes of friends, video by video: likeness of factors alone does not help friends."""
    friend_likeness: float = 0.6
    exposure_pull: float = 0.6
    """How far the log's policy follows its guess of taste (log weight per sd of the guess)."""
    guess_of_user: float = 0.3
    guess_of_video: float = 0.1
    """What of the guess's factors is the users' taste and the videos' content; the rest errs."""
    quality_popularity: float = 0.55
    """Correlation of quality and popularity rank: below .5, the most viewed videos are no better
    than random ones in some worlds, which in real life they are."""
    block_tilt: float = 3.0
    cold_tilt: float = 3.75
    cold_tilt_from: float = 0.35
    """Block videos are popular ones; cold videos had no time to become it."""
    short_rank: float = 0.68
    """Popularity rank (0 to 1) below which no short video lies."""
    block_floor: float = 0.006
    """Least chance to be seen of a block video: it was collected, so somebody saw it."""
    log_shift: float = 0.082
    """People stay longer (log seconds) on what the policy chose; trims the block's base rate."""

    @classmethod
    def at(cls, scale: float) -> Taste:
        """Strengthen taste in small worlds, where each user and video is seen less often.

        Quality too: with fewer users to ask, ten popular videos must differ more to be told apart.

        Interpolated in log scale between worlds that were measured; beyond them it is constant.
        """
        at = np.log([0.05, 0.1, 0.3, 1.0])
        measured: dict[str, list[float]] = {
            "axes": [2, 3, 5, 8],
            "quality_sd": [0.33, 0.3, 0.27, 0.225],
            "latent_sd": [1.8, 1.6, 1.33, 0.97],
            "log_shift": [0.055, 0.065, 0.073, 0.082],
        }
        now = {name: float(np.interp(log(scale), at, row)) for name, row in measured.items()}
        return replace(
            cls(),
            axes=round(now["axes"]),
            quality_sd=now["quality_sd"],
            latent_sd=now["latent_sd"],
            log_shift=now["log_shift"],
        )


@dataclass(frozen=True)
class Habit:
    """How people watch: in the ordinary log, or in the block where all is shown to them."""

    spread: float
    """Factor on the personal spread of log play time."""
    shift: float
    """Added to log play time."""
    skip: float
    """Mean chance to swipe away at once."""
    skip_cap: float = 0.7
    loop: float = 0.003
    """Chance to let the video run again and again."""
    zero: float = 0.007
    """Chance of a play of 0 ms."""
    typical_s: float = 7.9
    """Play time at log play time 0, whatever the length of the video."""
    longest_log_play: float = 5.6

    @classmethod
    def log(cls, taste: Taste) -> Habit:
        """In the ordinary log, where the policy already chose."""
        return cls(spread=1.25, shift=taste.log_shift, skip=0.26)

    @classmethod
    def block(cls) -> Habit:
        """In the fully observed block."""
        return cls(spread=1.0, shift=0.0, skip=0.09)


@dataclass(frozen=True)
class Defects:
    """Shares of rows that are as wrong as the published ones."""

    copied: float = 0.0835
    """Exact duplicates in the log."""
    copied_to_next_partition: float = 0.00019
    other_partition: float = 0.001
    """Rows whose ``date`` is not the day of their time."""
    block_missing: float = 0.0038
    block_without_time: float = 0.039
    """Stage 2: shown by force to complete the block."""
    block_without_time_tilt: float = 3.0
    """How much more often that happens to the rarest block video than to the commonest (log)."""
    rewatch: float = 0.122
    """Mean number of honest further views of a pair."""
    rewatch_video_sd: float = 0.9
    rewatch_user_sd: float = 0.4
    looped_video: float = 1 / 1500
    looped_rewatch: float = 6.0
    """Some videos are watched again by everybody."""
    idle_day: float = 0.065
    """Chance that a user does not open the app on a day."""
