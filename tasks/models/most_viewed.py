"""Popularity by viewers: what most people were shown."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.model_settings import MostViewedConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class MostViewed(Recommender[MostViewedConfig]):
    """Scores a video by how many users viewed it before the cut; one nobody saw is not served.

    A user counts once: a single pair of KuaiRec has 2,224 views, and a loop is no popularity.
    """

    config_type = MostViewedConfig
    state_attributes = ("viewers_",)
    viewers_: FloatMatrix

    def _fit(self, training: Training) -> None:
        viewers = np.zeros(training.shape[1], dtype=np.int64)
        for part in training.user_item.parts("video_idx"):
            viewers += np.bincount(part["video_idx"].to_numpy(), minlength=len(viewers))
        self.viewers_ = np.where(viewers > 0, viewers, np.nan).astype(np.float32)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        return np.tile(self.viewers_, (len(user_idx), 1))
