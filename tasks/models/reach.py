"""Reach: which videos any of several models can serve at all."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.interface import Recommender

SAMPLE = 64


def sampled_users(n_users: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """Return at most ``size`` user indices, spread evenly over all ``n_users``."""
    return np.unique(np.linspace(0, n_users - 1, min(size, n_users)).astype(np.int64))


def videos_served(
    models: Iterable[Recommender[Any]], user_idx: NDArray[np.int64], n_videos: int
) -> NDArray[np.bool_]:
    """Return bool (n_videos,): true where a model has a score of the video for one of the users.

    Whether a model can serve a video rarely depends on the user, so that few users tell; a video
    that some model serves to others alone counts as not served.
    """
    is_served = np.zeros(n_videos, dtype=np.bool_)
    for model in models:
        is_served |= ~np.isnan(model.score(user_idx)).all(axis=0)
    return is_served
