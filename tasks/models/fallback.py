"""What a model would show to somebody it knows nothing of: the videos that are popular with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.models.catalogue import Catalogue
from tasks.models.hybrid import Hybrid
from tasks.models.interface import FloatMatrix, Recommender
from tasks.models.lists import listed, top_lists
from tasks.models.popularity import Popularity

USERS_AT_ONCE = 512
"""Users scored together: 22 MB of scores at KuaiRec's size."""


def components_of(model: Recommender[Any]) -> Mapping[str, Recommender[Any]]:
    """Return the components that decide in a blend; any other model is its own only one."""
    if isinstance(model, Hybrid):
        return {name: model.components_[name] for name in model.counting}
    return {model.name: model}


def popular_with(model: Recommender[Any]) -> tuple[str, FloatMatrix]:
    """Return the name and the scores, float32 (1, m), of the list for those whom nobody can serve.

    By popularity, where the model is or holds it, whatever it weighs there; otherwise by the mean
    of the model's scores over all its users. NaN where that says nothing.
    """
    held = model.components_ if isinstance(model, Hybrid) else {model.name: model}
    for component in held.values():
        if isinstance(component, Popularity):
            return f"{component.name} (fallback)", component.score(np.array([0]))
    n_users, n_videos = (int(n) for n in model.shape_)
    total, count = np.zeros(n_videos), np.zeros(n_videos)
    for start in range(0, n_users, USERS_AT_ONCE):
        scores = model.score(np.arange(start, min(start + USERS_AT_ONCE, n_users)))
        total += np.nansum(scores, axis=0, dtype=np.float64)
        count += (~np.isnan(scores)).sum(axis=0)
    mean = np.divide(total, count, out=np.full(n_videos, np.nan), where=count > 0)
    return f"mean of {model.name} (fallback)", mean.astype(np.float32)[None, :]


def lists_for_all(
    model: Recommender[Any],
    catalogue: Catalogue,
    user_ids: NDArray[np.int32],
    n: int,
    among: NDArray[np.bool_] | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield rows of ``top_n`` for different users by id, some hundred users at a time.

    Unknown users, and those whom the model cannot serve, have the list of ``popular_with``, marked
    by its name; a known user's is without what he has seen. ``among`` is as for ``top_lists``.
    """
    popular = cache(popular_with)
    everything = np.ones(len(catalogue.video_ids), dtype=bool) if among is None else among
    for start in range(0, len(user_ids), USERS_AT_ONCE):
        chunk = user_ids[start : start + USERS_AT_ONCE]
        known = chunk[np.isin(chunk, catalogue.user_ids)]
        rows = top_lists(model, catalogue, catalogue.user_idx(known), n, everything)
        others = chunk[~np.isin(chunk, rows["user_id"].to_numpy())]
        if not others.size:
            yield rows
            continue
        allowed = np.tile(everything, (len(others), 1))
        is_known = np.isin(others, catalogue.user_ids)
        allowed[is_known] &= catalogue.unseen(catalogue.user_idx(others[is_known]))
        name, scores = popular(model)
        tiled = np.tile(scores, (len(others), 1))
        yield pl.concat([rows, listed(tiled, allowed, others, catalogue.video_ids, n, name)])
