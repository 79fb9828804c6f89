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
        video_idx = training.user_item["video_idx"].to_numpy()
        enjoyed = training.user_item["enjoyed"].to_numpy()
        n_videos = training.shape[1]
        seen = np.bincount(video_idx, minlength=n_videos)
        total = np.bincount(video_idx, weights=enjoyed, minlength=n_videos)
        mean = enjoyed.mean() if enjoyed.size else 0.0
        shrunk = (total + self.config.shrinkage * mean) / np.maximum(
            seen + self.config.shrinkage, 1e-12
        )
        self.rate_ = np.where(seen > 0, shrunk, np.nan).astype(np.float32)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        return np.tile(self.rate_, (len(user_idx), 1))
