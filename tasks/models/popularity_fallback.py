"""What a model would show to somebody it knows nothing of: the videos that are popular with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from tasks.models.base import FloatMatrix, Recommender
from tasks.models.hybrid import Hybrid
from tasks.models.popularity import Popularity
from tasks.serving.top_n import USERS_AT_ONCE, Fallback

MARK = " (fallback)"
"""Ends the name by which such a list is marked."""


def is_fallback(name: str) -> bool:
    """Say whether a list marked by ``name`` is nobody's in particular."""
    return name.endswith(MARK)


def components_of(model: Recommender[Any]) -> Mapping[str, Recommender[Any]]:
    """Return the components that decide in a blend; any other model is its own only one."""
    if isinstance(model, Hybrid):
        return {name: model.components_[name] for name in model.active_components}
    return {model.name: model}


def popularity_fallback(model: Recommender[Any]) -> tuple[str, FloatMatrix]:
    """Return the name and the scores, float32 (1, m), of the list for those whom nobody can serve.

    By popularity, where the model is or holds it, whatever it weighs there; otherwise by the mean
    of the model's scores over all its users. NaN where that says nothing.
    """
    held = model.components_ if isinstance(model, Hybrid) else {model.name: model}
    for component in held.values():
        if isinstance(component, Popularity):
            return f"{component.name}{MARK}", component.score(np.array([0]))
    n_users, n_videos = (int(n) for n in model.shape_)
    total, count = np.zeros(n_videos), np.zeros(n_videos)
    for start in range(0, n_users, USERS_AT_ONCE):
        scores = model.score(np.arange(start, min(start + USERS_AT_ONCE, n_users)))
        total += np.nansum(scores, axis=0, dtype=np.float64)
        count += (~np.isnan(scores)).sum(axis=0)
    mean = np.divide(total, count, out=np.full(n_videos, np.nan), where=count > 0)
    return f"mean of {model.name}{MARK}", mean.astype(np.float32)[None, :]


def fallback_of(model: Recommender[Any]) -> Fallback:
    """Return what says what is popular with a model: worked out when first asked, then kept."""
    return cache(partial(popularity_fallback, model))
