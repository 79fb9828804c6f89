"""From a model to lists of unseen videos: the one road for Parquet tables and for serving."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.ranking import rank
from tasks.models.catalogue import Catalogue
from tasks.models.interface import Recommender


def top_lists(
    model: Recommender[Any], catalogue: Catalogue, user_idx: NDArray[np.integer[Any]], n: int
) -> pl.DataFrame:
    """Return rows of ``top_n`` for the users asked, in their order.

    A user has fewer than ``n`` rows where the model cannot serve that many unseen videos, and none
    where it serves none.
    """
    scores = model.score(user_idx)
    listed = rank(scores, catalogue.unseen(user_idx), n)
    rows, places = np.nonzero(listed >= 0)
    columns = listed[rows, places]
    return pl.DataFrame(
        {
            "user_id": catalogue.user_ids[np.asarray(user_idx)[rows]],
            "rank": (places + 1).astype(np.int32),
            "video_id": catalogue.video_ids[columns],
            "score": scores[rows, columns],
        }
    ).with_columns(pl.lit(model.name).alias("model"))
