"""Random scores: the base rate in the form of a model."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.model_settings import RandomConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class Random(Recommender[RandomConfig]):
    """Scores each (user, video) uniformly; a user's row depends on the seed and the user alone."""

    config_type = RandomConfig
    required_tables: ClassVar[frozenset[str]] = frozenset()
    state_attributes = ("seed_",)
    seed_: NDArray[np.int64]

    def _fit(self, training: Training) -> None:
        self.seed_ = np.array(training.seed, dtype=np.int64)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        n_videos = int(self.shape_[1])
        scores = np.empty((len(user_idx), n_videos), dtype=np.float32)
        for row, user in enumerate(user_idx):
            rng = np.random.default_rng([int(self.seed_), int(user)])
            scores[row] = rng.random(n_videos, dtype=np.float32)
        return scores
