"""Popularity by enjoyment: the mean debiased label, shrunk for videos with few views."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.model_settings import PopularityConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class Popularity(Recommender[PopularityConfig]):
    r"""Scores video v by its shrunk enjoyment rate, the same for every user.

    With n_v users who saw v, their labels y and the mean label m of all pairs,
    :math:`s_v = (\sum_u y_{uv} + \lambda m) / (n_v + \lambda)`. A video nobody saw cannot be
    served: its score would say nothing but m.
    """

    config_type = PopularityConfig
    state_attributes = ("rate_",)
    rate_: FloatMatrix

    def _fit(self, training: Training) -> None:
        seen, total = np.zeros((2, training.shape[1]))
        for part in training.user_item.parts("video_idx", "enjoyed"):
            video_idx = part["video_idx"].to_numpy()
            seen += np.bincount(video_idx, minlength=len(seen))
            total += np.bincount(video_idx, part["enjoyed"].to_numpy(), minlength=len(total))
        mean = total.sum() / max(seen.sum(), 1)
        shrunk = (total + self.config.shrinkage * mean) / np.maximum(
            seen + self.config.shrinkage, 1e-12
        )
        self.rate_ = np.where(seen > 0, shrunk, np.nan).astype(np.float32)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        return np.tile(self.rate_, (len(user_idx), 1))
