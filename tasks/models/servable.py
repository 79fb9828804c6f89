"""Reach: which users and videos any of several models can serve at all."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.base import Recommender

SAMPLE = 512


def sampled_users(n_users: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """Return at most ``size`` user indices, spread evenly over all ``n_users``."""
    return np.unique(np.linspace(0, n_users - 1, min(size, n_users)).astype(np.int64))


def served(
    models: Iterable[Recommender[Any]], user_idx: NDArray[np.int64], n_videos: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return bool (len(user_idx),) and (n_videos,): true where some model has a score for them.

    Whether a model can serve a video rarely depends on the user, so that some users tell; a video
    that some model serves to others alone counts as not served.
    """
    has_list, is_listed = np.zeros(len(user_idx), dtype=bool), np.zeros(n_videos, dtype=bool)
    for model in models:
        is_scored = ~np.isnan(model.score(user_idx))
        has_list |= is_scored.any(axis=1)
        is_listed |= is_scored.any(axis=0)
    return has_list, is_listed
