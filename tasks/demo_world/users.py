"""Step 4: users with tastes, habits, activity and friends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.demo_world.params import Taste, WorldShape
from tasks.demo_world.random_streams import Stream, even_normal, stream
from tasks.demo_world.videos import TAG_PER_MILLE, Flags, Floats, Ints

FRESH_SHARE = 0.806
"""Different videos seen, as a share of a user's activity; tuned to 10.3 M pairs."""


@dataclass(frozen=True)
class Users:
    """All users; row u is user id u."""

    factors: Floats
    """(n, K) latent factors p_u."""
    tag_taste: Floats
    """(n, 31) liking of each tag, A_u."""
    strength: Floats
    """(n,) factor on both tastes, mean square 1: some know what they like, most take what comes."""
    pace: Floats
    """(n,) personal shift of log play time, g_u."""
    spread: Floats
    """(n,) personal spread of log play time, s_u: large means a high rate of enjoyed views."""
    skip: Floats
    """(n,) factor on the chance to swipe away at once, mean 1."""
    videos_seen: Ints
    """(n,) different videos in the log."""
    rewatch: Floats
    """(n,) factor on the rate of re-watches, mean 1."""
    group: Ints
    """(n,) friend group, -1 for none."""
    in_block: Flags

    def __len__(self) -> int:
        """Number of users."""
        return len(self.pace)


def draw_users(shape: WorldShape, taste: Taste, rewatch_sd: float, seed: int) -> Users:
    """Draw all users of a world."""
    rng = stream(seed, Stream.USERS)
    n = shape.users
    in_block = np.zeros(n, dtype=bool)
    in_block[rng.choice(n, shape.block_users, replace=False)] = True
    group = _draw_groups(shape, in_block, rng)
    return Users(
        factors=_draw_alike(group, taste.axes, taste, rng),
        tag_taste=_draw_alike(group, len(TAG_PER_MILLE), taste, rng),
        strength=_draw_strength(in_block, taste, rng),
        pace=(0.17 * _even(in_block, rng)).astype(np.float32),
        spread=np.clip(0.168 * np.exp(0.6 * _even(in_block, rng)), 0.04, 0.5).astype(np.float32),
        skip=np.exp(0.8 * _even(in_block, rng) - 0.8**2 / 2).astype(np.float32),
        videos_seen=_draw_activity(shape, in_block, rng),
        rewatch=mean_one_lognormal(rewatch_sd, n, rng),
        group=group,
        in_block=in_block,
    )


def mean_one_lognormal(sd: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw n log-normal factors of mean 1 whose logarithm has this standard deviation."""
    return rng.lognormal(-(sd**2) / 2, sd, n).astype(np.float32)


def _even(in_block: Flags, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw normal habits (n,), evenly inside and outside the block: its base rate hangs on them."""
    habits = np.empty(len(in_block))
    for part in (in_block, ~in_block):
        habits[part] = even_normal(int(part.sum()), rng)
    return habits


def _draw_groups(shape: WorldShape, in_block: Flags, rng: np.random.Generator) -> Ints:
    """Put some users into friend groups; (n,) group numbers, -1 for none.

    The first member of each group is not of the block: two block users have no log on block videos,
    so a group of them alone could not tell a recommender anything.
    """
    sizes = np.repeat(*np.array(shape.friend_groups).T)
    outsiders = rng.permutation(np.flatnonzero(~in_block))
    insiders = rng.permutation(np.flatnonzero(in_block))
    others = np.repeat(np.arange(len(sizes)), sizes - 1)
    n_inside = min(shape.friends_in_block, len(others), len(insiders))
    others = rng.permutation(others)
    group = np.full(shape.users, -1, dtype=np.int64)
    group[insiders[:n_inside]] = others[:n_inside]
    places = np.concatenate([np.arange(len(sizes)), others[n_inside:]])
    group[outsiders[: len(places)]] = places
    return group


def _draw_alike(group: Ints, width: int, taste: Taste, rng: np.random.Generator) -> Floats:
    """Draw N(0, 1) tastes (n, width) that members of a group share in part."""
    own = rng.standard_normal((len(group), width))
    shared = rng.standard_normal((int(group.max()) + 1, width))
    likeness = taste.friend_likeness
    mixed = np.sqrt(likeness) * shared[group] + np.sqrt(1 - likeness) * own
    return np.where(group[:, None] >= 0, mixed, own).astype(np.float32)


def _draw_strength(in_block: Flags, taste: Taste, rng: np.random.Generator) -> Floats:
    """Draw log-normal strengths of taste (n,) whose mean square is 1."""
    sd = taste.strength_sd
    return np.exp(sd * _even(in_block, rng) - sd**2).astype(np.float32)


def _draw_activity(shape: WorldShape, in_block: Flags, rng: np.random.Generator) -> Ints:
    """Draw how many different videos each user sees; block users see few outside the block."""
    n = len(in_block)
    inside = np.clip(rng.normal(500, 220, n), 100, 1_400)
    outside = np.clip(rng.normal(2_090, 840, n), 100, 5_200)
    seen = FRESH_SHARE * shape.activity * np.where(in_block, inside, outside)
    most = 0.9 * (shape.videos - shape.block_videos)  # reached in logs denser than KuaiRec's alone
    return np.clip(np.rint(seen), 3, max(3, int(most))).astype(np.int64)
