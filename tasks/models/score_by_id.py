"""A model of another day asked about today's users and videos, which it knows by other indices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.base import FloatMatrix, Recommender
from tasks.models.catalogue import Catalogue
from tasks.models.popularity_fallback import popularity_fallback

Ids = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ScoresById:
    """A model that was trained on ``its`` users and videos, asked by the indices of ``here``."""

    model: Recommender[Any]
    its: Catalogue
    here: Catalogue

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def score(self, user_idx: NDArray[np.integer[Any]]) -> FloatMatrix:
        """Score all videos of ``here``: float32 (len(user_idx), m); NaN where it knows one not."""
        its_ids = (self.its.user_ids, self.its.video_ids)
        return scores_by_id(self.model, its_ids, self.here.user_ids[user_idx], self.here.video_ids)

    def popular(self) -> tuple[str, FloatMatrix]:
        """Return what is popular with it, as ``popularity_fallback``, for the videos ``here``."""
        name, scores = popularity_fallback(self.model)
        places, is_known = _places(self.here.video_ids, self.its.video_ids)
        return name, np.where(is_known, scores[:, places], np.float32(np.nan))


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
    scores[known] = model.score_on(users[knows_user], videos[knows_video])
    return scores


def _places(ids: Ids, known: Ids) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each id among the ascending known ones, and whether it is there."""
    places = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
    return places, known[places] == ids if len(known) else np.zeros(len(ids), dtype=bool)
