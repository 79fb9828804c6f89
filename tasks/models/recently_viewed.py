"""Popularity of the last days: a control that any feed could show without learning anything."""

from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.model_settings import RecentlyViewedConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class RecentlyViewed(Recommender[RecentlyViewedConfig]):
    """Scores a video by how many users viewed it on the last days before the cut.

    A user counts once, on the day of their last view. A video that nobody viewed before the cut is
    not served; one that nobody viewed of late comes last.
    """

    config_type = RecentlyViewedConfig
    state_attributes = ("viewers_",)
    viewers_: FloatMatrix

    def _fit(self, training: Training) -> None:
        recent, ever = np.zeros((2, training.shape[1]), dtype=np.int64)
        since = training.as_of - timedelta(days=self.config.days)
        for part in training.user_item.parts("video_idx", "last_viewed_at"):
            video_idx = part["video_idx"].to_numpy()
            is_recent = (part["last_viewed_at"] >= since).to_numpy()
            recent += np.bincount(video_idx[is_recent], minlength=len(recent))
            ever += np.bincount(video_idx, minlength=len(ever))
        self.viewers_ = np.where(ever > 0, recent, np.nan).astype(np.float32)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        return np.tile(self.viewers_, (len(user_idx), 1))
