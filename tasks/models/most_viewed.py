"""Popularity by views: what everybody was shown most."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.models import MostViewedConfig
from tasks.models.interface import FloatMatrix, Recommender, Training


class MostViewed(Recommender[MostViewedConfig]):
    """Scores a video by its views before the cut; a video nobody saw cannot be served."""

    config_type = MostViewedConfig
    learned = ("views_",)
    views_: FloatMatrix

    def _fit(self, training: Training) -> None:
        views = np.bincount(
            training.pairs["video_idx"].to_numpy(),
            weights=training.pairs["views"].to_numpy(),
            minlength=training.shape[1],
        )
        self.views_ = np.where(views > 0, views, np.nan).astype(np.float32)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        return np.tile(self.views_, (len(user_idx), 1))
