"""Step 5: what a user would feel about a video, in logits, for a chunk of users at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.demo_world.params import Taste
from tasks.demo_world.random_streams import Stream, stream
from tasks.demo_world.users import Users
from tasks.demo_world.videos import Floats, Ints, Videos


@dataclass(frozen=True)
class TasteModel:
    r"""Personal taste of users for videos.

    .. math:: t_{uv} = h_u (\sigma_{lat} p_u \cdot f_v / \sqrt K
              + \sigma_{tag} \overline{A_{u,tags(v)}}) + \sigma_{grp} e_{group(u),v}

    The signal that drives play time is :math:`q_v + t_{uv}`.
    """

    user_side: Floats
    """(n_users, K + 31), strengths multiplied in."""
    video_side: Floats
    """(n_videos, K + 31)."""
    group: Ints
    group_sd: float
    seed: int

    @classmethod
    def of(cls, users: Users, videos: Videos, taste: Taste, seed: int) -> TasteModel:
        """Lay out both sides so that one product gives the taste."""
        latent = users.factors * (taste.latent_sd / np.sqrt(taste.axes))
        both = np.hstack([latent, users.tag_taste * taste.tag_sd])
        return cls(
            user_side=(users.strength[:, None] * both).astype(np.float32),
            video_side=np.hstack([videos.factors, videos.tag_means()]).astype(np.float32),
            group=users.group,
            group_sd=taste.group_sd,
            seed=seed,
        )

    def dense(self, user_idx: Ints) -> Floats:
        """Return t (len(user_idx), n_videos)."""
        values = self.user_side[user_idx] @ self.video_side.T
        for row in np.flatnonzero(self.group[user_idx] >= 0):
            values[row] += self.group_sd * self._shared_likes(int(self.group[user_idx[row]]))
        return np.asarray(values, dtype=np.float32)

    def _shared_likes(self, group: int) -> Floats:
        """Return e (n_videos,) of a group: the same for each member, whatever the chunk."""
        rng = stream(self.seed, Stream.GROUPS, group)
        return rng.standard_normal(len(self.video_side), dtype=np.float32)
