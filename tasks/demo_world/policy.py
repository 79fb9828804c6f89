"""Step 5b: what the app's recommender of the day believed of users; not what they like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.demo_world.params import Taste
from tasks.demo_world.random_streams import Stream, stream
from tasks.demo_world.users import Users
from tasks.demo_world.videos import Floats, Ints, Videos


@dataclass(frozen=True)
class Policy:
    r"""The guess of taste by which the log's recommender chose, apart from popularity.

    It is a factorisation of its own, whose axes only partly point where taste does:

    .. math:: g_{uv} = \tilde p_u \cdot \tilde f_v / \sqrt K, \quad
              \tilde p_u = \sqrt a\,p_u + \sqrt{1 - a}\,\epsilon_u, \quad
              \tilde f_v = \sqrt b\,f_v + \sqrt{1 - b}\,\epsilon_v

    :math:`\epsilon_u` is what has changed since users were last learned from (the guess is older
    than the log), :math:`\epsilon_v` what a factorisation gets wrong about a video. Tags, quality
    and what friends share are not in it.
    """

    user_side: Floats
    """(n_users, K), scaled so that the guess has a standard deviation of 1."""
    video_side: Floats
    """(n_videos, K)."""

    @classmethod
    def of(cls, users: Users, videos: Videos, taste: Taste, seed: int) -> Policy:
        """Blur both sides of the planted factors."""
        rng = stream(seed, Stream.POLICY)
        user_side = _blurred(users.factors, taste.guess_of_user, rng)
        video_side = _blurred(videos.factors, taste.guess_of_video, rng)
        return cls(user_side / np.float32(np.sqrt(taste.axes)), video_side)

    def guess(self, user_idx: Ints) -> Floats:
        """Return g (len(user_idx), n_videos)."""
        return np.asarray(self.user_side[user_idx] @ self.video_side.T, dtype=np.float32)


def _blurred(factors: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Mix factors (n, K) with noise as large on each axis; ``share`` of their variance stays."""
    noise = factors.std(axis=0) * rng.standard_normal(factors.shape, dtype=np.float32)
    return np.asarray(np.sqrt(share) * factors + np.sqrt(1 - share) * noise, dtype=np.float32)
