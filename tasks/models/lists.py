"""From a model to lists of unseen videos: the one road for Parquet tables and for serving."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.ranking import rank
from tasks.models.catalogue import Catalogue
from tasks.models.interface import FloatMatrix, Recommender


def top_lists(
    model: Recommender[Any],
    catalogue: Catalogue,
    user_idx: NDArray[np.integer[Any]],
    n: int,
    among: NDArray[np.bool_] | None = None,
) -> pl.DataFrame:
    """Return rows of ``top_n`` for the users asked, in their order.

    ``among``, bool (m,), is False for videos that must not be listed; None allows all. A user has
    fewer than ``n`` rows where the model cannot serve that many unseen videos, and none where it
    serves none.
    """
    scores = model.score(user_idx)
    allowed = catalogue.unseen(user_idx)
    if among is not None:
        allowed &= among
    user_ids = catalogue.user_ids[np.asarray(user_idx)]
    return listed(scores, allowed, user_ids, catalogue.video_ids, n, model.name)


def listed(
    scores: FloatMatrix,
    allowed: NDArray[np.bool_],
    user_ids: NDArray[np.int32],
    video_ids: NDArray[np.int32],
    n: int,
    name: str,
) -> pl.DataFrame:
    """Return rows of ``top_n``: the ``n`` best of the allowed videos by scores (users, m)."""
    ranked = rank(scores, allowed, n)
    rows, places = np.nonzero(ranked >= 0)
    columns = ranked[rows, places]
    return pl.DataFrame(
        {
            "user_id": user_ids[rows],
            "rank": (places + 1).astype(np.int32),
            "video_id": video_ids[columns],
            "score": scores[rows, columns],
        }
    ).with_columns(pl.lit(name).alias("model"))
