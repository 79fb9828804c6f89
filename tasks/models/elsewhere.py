"""A model of another day asked about today's users and videos, which it knows by other indices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.catalogue import Catalogue
from tasks.models.interface import FloatMatrix, Recommender


def scores_by_id(
    model: Recommender[Any],
    catalogue: Catalogue,
    user_ids: NDArray[np.integer[Any]],
    video_ids: NDArray[np.integer[Any]],
) -> FloatMatrix:
    """Score videos for users given by id: float32 (n, m); NaN where it knows one of them not."""
    users, knows_user = _places(user_ids, catalogue.user_ids)
    videos, knows_video = _places(video_ids, catalogue.video_ids)
    scores = np.full((len(user_ids), len(video_ids)), np.nan, dtype=np.float32)
    known = np.ix_(knows_user, knows_video)
    scores[known] = model.score(users[knows_user])[:, videos[knows_video]]
    return scores


def _places(
    ids: NDArray[np.integer[Any]], known: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each id among the ascending known ones, and whether it is there."""
    places = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
    return places, known[places] == ids if len(known) else np.zeros(len(ids), dtype=bool)
