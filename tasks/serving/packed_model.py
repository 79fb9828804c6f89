"""A trained model with all it needs to answer: its catalogue, and what it gives to strangers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ModelError
from tasks.models.base import Recommender
from tasks.models.catalogue import Catalogue
from tasks.models.lookup import recommender_class
from tasks.models.popularity_fallback import fallback_of
from tasks.serving.list_rules import ListRules
from tasks.serving.top_n import Fallback, top_n_for_all


@dataclass(frozen=True)
class PackedModel:
    """A model, the catalogue it was trained on, and the list of those whom it cannot serve.

    ``rules`` are those of the house on the night that packed it.
    """

    model: Recommender[Any]
    catalogue: Catalogue
    fallback: Fallback
    rules: ListRules | None

    @classmethod
    def load(cls, name: str, model: Path, catalogue: Path) -> Self:
        """Read the model ``name`` and its catalogue from their folders; every byte is checked.

        Raises:
            ModelError: a file is lost or is not as it was saved.
        """
        loaded = recommender_class(name).load(model)
        found = Catalogue.load(catalogue)  # which checks every file beside it, too
        return cls(loaded, found, fallback_of(loaded), ListRules.load(catalogue))

    def lists(
        self, user_ids: NDArray[np.integer[Any]], n: int | None, candidates: Sequence[int]
    ) -> pl.DataFrame:
        """Return rows of ``top_n``: the ``n`` best unseen videos of each user, in their order.

        ``candidates`` are the ids of the videos that may be listed, all if empty.

        Raises:
            ModelError: no users, an ``n`` that is null or below 1, or unknown videos.
        """
        if n is None or n < 1:
            raise ModelError(f"n must be 1 or more, not {n}")
        if not len(user_ids):
            raise ModelError("no users: give at least one user_id")
        ids = np.asarray(candidates, dtype=np.int64)
        allowed_videos = self.catalogue.allowed_videos(ids) if ids.size else None
        # No list is longer than the catalogue, and each place asked for takes memory
        n = min(int(n), len(self.catalogue.video_ids))
        lists = top_n_for_all(
            self.model, self.fallback, self.catalogue, user_ids, n, allowed_videos, self.rules
        )
        return pl.concat(lists)
