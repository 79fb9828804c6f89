"""``user_features.csv`` and ``social_network.csv``: what the app knows about people.

Some one-hot columns are noisy cuts of the planted factors, so that a model with user features can
learn something; the rest is noise of the published kind.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.demo_world.random_streams import Stream, stream
from tasks.demo_world.users import Users
from tasks.demo_world.videos import Ints

ONEHOT_SIZES = (2, 8, 30, 1076, 12, 10, 3, 47, 340, 7, 5, 3, 2, 2, 2, 2, 2, 2)
"""Number of positions of each ``onehot_feat`` column."""
ONEHOT_SKEW = (
    *(0.63, 0.8, 1.1, 0.3, 1.2, 9.0, 1.0, 0.6, 0.4),
    *(0.4, 0.9, 3.8, 1.2, 3.1, 3.2, 5.7, 5.8, 6.0),
)
"""How unevenly their positions are filled: position rank r weighs (r + 1) ** -skew."""
TRACED_FACTOR = {1: 0, 2: 1, 4: 2, 7: 0, 9: 1, 12: 3}
"""Column -> latent factor that it is a noisy cut of (taken modulo K)."""
TRACE_STRENGTH = 0.4
"""Correlation of such a column's latent value with the factor."""
ALL_NULL_SHARE = 0.0103
"""Users whose one-hot columns 12 to 17 are all empty."""
FEAT4_NULL_SHARE = 0.028

Ranges = tuple[tuple[int, str], ...]
"""Last value and text of each interval, ascending."""

FOLLOW_RANGES: Ranges = (
    *((0, "0"), (10, "(0,10]"), (50, "(10,50]"), (100, "(50,100]"), (150, "(100,150]")),
    *((250, "(150,250]"), (500, "(250,500]"), (10**9, "500+")),
)
FANS_RANGES: Ranges = (
    *((0, "0"), (9, "[1,10)"), (99, "[10,100)"), (999, "[100,1k)"), (4_999, "[1k,5k)")),
    *((9_999, "[5k,1w)"), (10**9, "[1w,10w)")),
)
FRIEND_RANGES: Ranges = (
    *((0, "0"), (4, "[1,5)"), (29, "[5,30)"), (59, "[30,60)"), (119, "[60,120)")),
    *((249, "[120,250)"), (10**9, "250+")),
)
DAY_RANGES: Ranges = (
    *((30, "15-30"), (60, "31-60"), (90, "61-90"), (180, "91-180"), (365, "181-365")),
    *((730, "366-730"), (10**9, "730+")),
)


def user_table(users: Users, seed: int) -> pl.DataFrame:
    """Return one row per user in the order of the ids."""
    rng = stream(seed, Stream.USER_TABLE)
    n = len(users)
    follows = np.minimum(np.floor(rng.lognormal(np.log(35), 1.7, n)), 2_100).astype(np.int64)
    fans = np.minimum(np.floor(rng.lognormal(np.log(2.3), 1.35, n)), 99_999).astype(np.int64)
    met = np.floor(rng.lognormal(np.log(0.6), 1.65, n)).astype(np.int64)
    friends = np.maximum(np.minimum(met, 1_500), _friend_counts(users))
    days = (15 + rng.gamma(1.8, 140.0, n)).astype(np.int64)
    numbers = {
        "follow_user_num": (follows, FOLLOW_RANGES),
        "fans_user_num": (fans, FANS_RANGES),
        "friend_user_num": (friends, FRIEND_RANGES),
        "register_days": (days, DAY_RANGES),
    }
    columns: dict[str, object] = {
        "user_id": np.arange(n),
        "user_active_degree": _active_degree(users, rng),
        "is_lowactive_period": (rng.random(n) < 0.0004).astype(np.int8),
        "is_live_streamer": (rng.random(n) < 0.0068).astype(np.int8),
        "is_video_author": (rng.random(n) < 0.17).astype(np.int8),
    }
    for name, (values, ranges) in numbers.items():
        columns |= {name: values, f"{name}_range": _range_texts(values, ranges)}
    return pl.DataFrame(columns | _onehot_columns(users, rng))


def friend_table(users: Users) -> pl.DataFrame:
    """Return one row per user with friends: all other members of the group, as a list in text."""
    rows = []
    for user_id in np.flatnonzero(users.group >= 0):
        others = np.flatnonzero(users.group == users.group[user_id])
        rows.append((int(user_id), str([int(other) for other in others if other != user_id])))
    return pl.DataFrame(rows, schema=["user_id", "friend_list"], orient="row")


def _friend_counts(users: Users) -> Ints:
    """Return the number of friends (n,) that the social network lists."""
    members = np.bincount(users.group[users.group >= 0])
    return np.where(users.group >= 0, members[users.group] - 1, 0)


def _active_degree(users: Users, rng: np.random.Generator) -> NDArray[np.str_]:
    """Name the activity (n,): mostly full, less for the less active, some unknown."""
    noisy = users.videos_seen / users.videos_seen.mean() + rng.normal(0, 0.5, len(users))
    order = np.argsort(np.argsort(noisy)) / len(users)
    names = np.select(
        [order < 0.004, order < 0.135], ["middle_active", "high_active"], "full_active"
    )
    return np.where(rng.random(len(users)) < 0.0164, "UNKNOWN", names)


def _range_texts(values: Ints, ranges: Ranges) -> NDArray[np.str_]:
    """Return the interval text (n,) of each value."""
    lasts, texts = zip(*ranges, strict=True)
    return np.array(texts)[np.searchsorted(lasts, values)]


def _onehot_columns(users: Users, rng: np.random.Generator) -> dict[str, pl.Series]:
    """Return the 18 category columns with their empty cells."""
    n, columns = len(users), {}
    all_null = rng.random(n) < ALL_NULL_SHARE
    for number, (size, skew) in enumerate(zip(ONEHOT_SIZES, ONEHOT_SKEW, strict=True)):
        noise = rng.standard_normal(n)
        latent = noise
        if number in TRACED_FACTOR:
            factor = users.factors[:, TRACED_FACTOR[number] % users.factors.shape[1]]
            latent = TRACE_STRENGTH * factor + np.sqrt(1 - TRACE_STRENGTH**2) * noise
        position = _cut(latent, size, skew, rng)
        empty = np.zeros(n, dtype=bool)
        if number == 4:
            empty = rng.random(n) < FEAT4_NULL_SHARE
        elif number >= 12:
            empty = all_null
        columns[f"onehot_feat{number}"] = pl.Series(position).set(pl.Series(empty), None)
    return columns


def _cut(latent: NDArray[np.float64], size: int, skew: float, rng: np.random.Generator) -> Ints:
    """Cut values (n,) into ``size`` neighbouring classes of uneven share, numbered at random.

    Two-valued columns keep 0 for the larger class, as in the original.
    """
    share = np.arange(1, size + 1) ** -float(skew)
    numbers = np.arange(size) if size == 2 else rng.permutation(size)
    share = rng.permutation(share) if size > 2 else share
    order = (np.argsort(np.argsort(latent)) + 0.5) / len(latent)
    return numbers[np.searchsorted(np.cumsum(share / share.sum())[:-1], order)]
