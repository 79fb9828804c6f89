"""A model of another day asked about today's users and videos, which it knows by other indices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.interface import FloatMatrix, Recommender

Ids = NDArray[np.integer[Any]]


def scores_by_id(
    model: Recommender[Any], its_ids: tuple[Ids, Ids], user_ids: Ids, video_ids: Ids
) -> FloatMatrix:
    """Score videos for users given by id: float32 (n, m); NaN where it knows one of them not.

    ``its_ids`` are those of the users and of the videos that it was trained on, ascending.
    """
    users, knows_user = _places(user_ids, its_ids[0])
    videos, knows_video = _places(video_ids, its_ids[1])
    scores = np.full((len(user_ids), len(video_ids)), np.nan, dtype=np.float32)
    known = np.ix_(knows_user, knows_video)
    scores[known] = model.score(users[knows_user])[:, videos[knows_video]]
    return scores


def _places(ids: Ids, known: Ids) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each id among the ascending known ones, and whether it is there."""
    places = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
    return places, known[places] == ids if len(known) else np.zeros(len(ids), dtype=bool)
