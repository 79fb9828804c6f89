"""Shortest first: a control that beat learned rankers where a label is easier on short videos."""

from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.model_settings import ShortestConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class Shortest(Recommender[ShortestConfig]):
    """Scores a video by how short it is; one of unknown length is not served."""

    config_type = ShortestConfig
    required_tables: ClassVar[frozenset[str]] = frozenset({"videos"})
    state_attributes = ("shortness_",)
    shortness_: FloatMatrix

    def _fit(self, training: Training) -> None:
        seconds = training.videos["duration_ms"].cast(pl.Float64) / 1000
        self.shortness_ = -seconds.fill_null(np.nan).to_numpy().astype(np.float32)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        return np.tile(self.shortness_, (len(user_idx), 1))
