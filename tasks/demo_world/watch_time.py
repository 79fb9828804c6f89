"""Step 6: how long a view lasts, when it counts as enjoyed, and the truth about both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from tasks.demo_world.params import Habit
from tasks.demo_world.users import Users
from tasks.demo_world.videos import Floats, Ints

N_BUCKETS = 20
ENJOYED_QUANTILE = 0.8
LOOP_LEAST = 1.5
SKIP_MOST = -0.65
"""Log play time (around the typical) that no view swiped away exceeds."""


def draw_play_ms(
    signal: Floats, user_idx: Ints, users: Users, habit: Habit, rng: np.random.Generator
) -> Ints:
    """Draw play times (n,) in ms; the length of the video does not matter, as in the real log.

    Log play time is ``g_u + s_u * spread * (signal + logistic noise) + shift`` around 7.9 s; some
    views are swiped away, some loop (a heavy tail), some last 0 ms.
    """
    n = len(signal)
    noise = rng.logistic(size=n)
    log_play = users.pace[user_idx] + habit.shift
    log_play = log_play + users.spread[user_idx] * habit.spread * (signal + noise)
    loops = rng.random(n) < habit.loop
    log_play[loops] = np.abs(log_play[loops]) + np.log(LOOP_LEAST + rng.pareto(1.6, loops.sum()))
    skips = rng.random(n) < skip_chance(users.skip[user_idx], habit)
    log_play[skips] = SKIP_MOST - rng.standard_exponential(skips.sum())
    seconds = habit.typical_s * np.exp(np.minimum(log_play, habit.longest_log_play))
    seconds[rng.random(n) < habit.zero] = 0.0
    return np.asarray(np.rint(seconds * 1000), dtype=np.int64)


def skip_chance(factor: Floats, habit: Habit) -> Floats:
    """Return the chance of each user to swipe a video away at once."""
    return np.asarray(np.minimum(factor * habit.skip, habit.skip_cap), dtype=np.float32)


@dataclass(frozen=True)
class ThresholdCurve:
    """The watch ratio from which a view counts as enjoyed, by the length of the video.

    The 80th percentile of 20 equal-count length buckets of the log, interpolated in (log length,
    log threshold) between the buckets' medians; slope -1 beyond them: a fixed play time.
    """

    log_length: NDArray[np.float64]
    log_threshold: NDArray[np.float64]

    @classmethod
    def fit(cls, duration_ms: Ints, watch_ratio: NDArray[np.float64]) -> ThresholdCurve:
        """Fit to views of the log (n,)."""
        order = np.argsort(duration_ms, kind="stable")
        buckets = np.array_split(order, N_BUCKETS)
        lengths = np.array([np.median(np.log(duration_ms[bucket])) for bucket in buckets])
        limits = [np.quantile(watch_ratio[bucket], ENJOYED_QUANTILE) for bucket in buckets]
        lengths, first = np.unique(lengths, return_index=True)
        return cls(lengths, np.log(np.array(limits)[first]))

    def log_play(self, duration_ms: Ints) -> NDArray[np.float64]:
        """Return the log of the enjoyed play time in ms (n,) for videos of these lengths."""
        length = np.log(duration_ms)
        inside = np.clip(length, self.log_length[0], self.log_length[-1])
        # Slope -1 beyond the ends keeps the product of ratio and length constant.
        return np.asarray(np.interp(inside, self.log_length, self.log_threshold) + inside)


def expected_enjoyment(
    signal: Floats, user_idx: Ints, users: Users, needed: NDArray[np.float64], habit: Habit
) -> Floats:
    """Return the chance (users, videos) that a view lasts at least ``needed`` (log ms, by video).

    It follows ``draw_play_ms``: no zero, no skip, and either a loop or enough of an ordinary play.
    A loop always suffices below 1.5 times the typical play, which thresholds never reach.
    """
    lift = needed - np.log(habit.typical_s * 1000)
    ease = (users.pace[user_idx, None] + habit.shift - lift) / users.spread[user_idx, None]
    ordinary = expit(ease / habit.spread + signal)
    stays = (1 - habit.zero) * (1 - skip_chance(users.skip[user_idx], habit))[:, None]
    loops = np.where(lift < np.log(LOOP_LEAST), 1.0, ordinary)
    enough = (1 - habit.loop) * ordinary + habit.loop * loops
    return np.asarray(stays * enough, dtype=np.float32)
