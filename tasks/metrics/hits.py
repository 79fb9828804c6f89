"""What lists hit: all that a metric of accuracy may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """The hits of n users' lists, with the lengths at which they are measured.

    ``is_hit`` is bool (n, depth): whether the video at rank 1, 2, ... is relevant; a list that has
    ended misses. ``n_relevant``, int64 (n,), counts all relevant candidates of a user, listed or
    not. ``ks``, int64 (number of k,), ascends; one above depth means all of the list.
    """

    is_hit: NDArray[np.bool_]
    n_relevant: NDArray[np.int64]
    ks: NDArray[np.int64]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of hits up to each k, (n, number of k)."""
        sums = [np.count_nonzero(part, axis=1) for part in self._between()]
        return np.stack(sums, axis=1).cumsum(axis=1)

    @cached_property
    def gains(self) -> Floats:
        """Sum of the hits' 1 / log2(rank + 1) up to each k, (n, number of k)."""
        parts = np.split(discounts(self.is_hit.shape[1]), self._bounds()[1:-1])
        sums = [part @ weights for part, weights in zip(self._between(), parts, strict=True)]
        return np.stack(sums, axis=1).cumsum(axis=1)

    @cached_property
    def ideal_gains(self) -> Floats:
        """The same of lists with all relevant candidates first, (n, number of k)."""
        best = np.concatenate([[0.0], np.cumsum(discounts(int(self.ks[-1])))])
        ideal: Floats = best[np.minimum(self.n_relevant[:, None], self.ks)]
        return ideal

    def _between(self) -> list[NDArray[np.bool_]]:
        """Cut the lists between one k and the next: cumulated sums over the parts are up to k."""
        return [self.is_hit[:, start:stop] for start, stop in pairwise(self._bounds())]

    def _bounds(self) -> list[int]:
        return [0, *np.minimum(self.ks, self.is_hit.shape[1]).tolist()]


def discounts(length: int) -> Floats:
    """Return 1 / log2(rank + 1) of the ranks 1 to length, (length,)."""
    return 1.0 / np.log2(np.arange(2, length + 2, dtype=np.float64))
