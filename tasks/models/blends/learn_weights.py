"""How the weights of a blend are learned, from whichever users and components are left in.

Least squares chooses the components and weighs them (``weights``); NDCG@10 on validation users has
the last word (``list_weights``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.model_settings import HybridConfig
from tasks.metrics.model_choice import FLOOR
from tasks.models.blends.block_cells import BlockCells, Rows
from tasks.models.blends.list_weights import improve_weights
from tasks.models.blends.weights import Floats, select_weights

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class WeightLearning:
    """What the weights of c components are learned from.

    ``cells`` are those of n validation users; ``shown`` the moments (k, c + 1, c) of users of the
    log, each as much as it counts.
    """

    cells: BlockCells
    shown: Floats
    config: HybridConfig
    seed: int

    def weights(self, without: str = "") -> tuple[Floats, bool]:
        """Return the weights (c,) by all users, of all components or all but one."""
        parts = np.array([name != without for name in self.cells.said], dtype=bool)
        return self._learned(parts, self.cells.rows)

    def cross_fitted(self) -> Floats:
        """Return each validation user's NDCG@10 by weights that never saw that user."""
        parts = np.ones(len(self.cells.said), dtype=bool)

        def learned(users: Rows) -> Floats:
            return self._learned(parts, users)[0]

        return self.cells.cross_fitted(learned)

    def _learned(self, parts: Mask, asked: Rows) -> tuple[Floats, bool]:
        """Return the weights, sum 1, and whether least squares was sure of any.

        They are learned from the users ``asked``, rows of ``cells``. If it is sure of none, all of
        it is popularity's, and without popularity all weigh the same.
        """
        moments = np.concatenate([self.cells.moments[asked], self.shown])
        weights = np.zeros(len(parts))
        weights[parts] = select_weights(
            moments[:, [*np.flatnonzero(parts), -1]][:, :, parts],
            self.seed,
            self.config.min_selection_rate,
            self.config.least_weight,
        )
        is_sure = bool(weights.any())
        if not is_sure:
            floor = parts & np.array([name == FLOOR for name in self.cells.said], dtype=bool)
            equal = (floor if floor.any() else parts).astype(np.float64)
            weights = equal / max(equal.sum(), 1)

        def ndcg(tried: Floats) -> Floats:
            return self.cells.ndcg_of_weights(tried, asked)

        return improve_weights(weights, ndcg, parts, self.seed), is_sure
