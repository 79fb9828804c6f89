"""How many of the videos shown were relevant, and how early they came: one figure a user and k.

Here: every metric of the registry and the base rate of each user. Not here: the metrics' formulas
(``tasks.metrics.registry``), the order of the lists (``tasks.metrics.ranking``) and means with
intervals over users (``tasks.metrics.bootstrap``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.hits import Hits
from tasks.metrics.registry import METRICS

# Hits are counted in blocks of about this many cells: they stay in the processor's cache.
BLOCK_CELLS = 1 << 18


@dataclass(frozen=True)
class Accuracy:
    """Figures of n users: one column a (metric, k), in the order of ``columns``.

    ``values`` is float64 (n, len(columns)), NaN where a figure is not defined for the user; it goes
    as it is into ``bootstrap_mean``. ``n_relevant`` is int64 (n,). ``base_rate``, float64 (n,), is
    the share of relevant videos among the candidates, which is the precision to expect of a random
    list; NaN without candidates.
    """

    columns: tuple[tuple[str, int], ...]
    values: NDArray[np.float64]
    n_relevant: NDArray[np.int64]
    base_rate: NDArray[np.float64]

    def of(self, metric: str, k: int) -> NDArray[np.float64]:
        """Return one figure of all users, float64 (n,); ValueError if it was not asked for."""
        return self.values[:, self.columns.index((metric, k))]

    @property
    def n_users_without_relevant(self) -> int:
        """Users who count in precision only, as recall and NDCG are not defined for them."""
        return int((self.n_relevant == 0).sum())


def accuracy_at_k(
    ranked: NDArray[np.int32],
    relevant: NDArray[np.bool_],
    ks: Sequence[int],
    candidates: NDArray[np.bool_] | None = None,
) -> Accuracy:
    """Measure lists against what was relevant, for all k at once.

    ``ranked`` (n, K) holds columns of ``relevant`` (n, m), best first, none twice, and -1, a miss,
    where a list has ended. ``candidates``, bool (n, m), is the set the model had to choose from
    (None: all), not what it could serve; a relevant video outside it is a ValueError. Columns are
    the metrics in the order of ``METRICS``, each at all ``ks``, ascending.

    NaN: a metric that is not defined for a user (recall and NDCG without a relevant video), and all
    metrics where k is larger than the user's candidate set.
    """
    ks = _checked_ks(ks)
    n_candidates = _count_candidates(relevant, candidates)
    served = [k for k in ks if (n_candidates >= k).any()]
    if served and served[-1] > ranked.shape[1]:
        raise ValueError(f"lists of {ranked.shape[1]} videos cannot be measured at k={served[-1]}")
    n_relevant = np.count_nonzero(relevant, axis=1).astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is the NaN we promise
        values = _values(ranked, relevant, n_relevant, ks)
        base_rate = n_relevant / n_candidates
    values[np.broadcast_to((n_candidates[:, None] < np.array(ks))[:, None], values.shape)] = np.nan
    return Accuracy(
        columns=tuple((metric.name, k) for metric in METRICS for k in ks),
        values=values.reshape(len(relevant), len(METRICS) * len(ks)),
        n_relevant=n_relevant,
        base_rate=base_rate,
    )


def oracle_scores(relevant: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return scores whose ranking is best possible at every k: its recall and NDCG bound others."""
    return relevant.astype(np.float32)


def _checked_ks(ks: Sequence[int]) -> list[int]:
    if not ks or min(ks) < 1 or len(set(ks)) < len(ks):
        raise ValueError(f"ks must be different numbers from 1 upwards, not {list(ks)}")
    return sorted(ks)


def _count_candidates(
    relevant: NDArray[np.bool_], candidates: NDArray[np.bool_] | None
) -> NDArray[np.int64]:
    if candidates is None:
        return np.full(len(relevant), relevant.shape[1], dtype=np.int64)
    stray = np.count_nonzero(relevant > candidates)
    if stray:
        raise ValueError(
            f"{stray} cells are relevant but no candidates: cut `relevant` to the candidates"
        )
    n_candidates: NDArray[np.int64] = np.count_nonzero(candidates, axis=1).astype(np.int64)
    return n_candidates


def _values(
    ranked: NDArray[np.int32],
    relevant: NDArray[np.bool_],
    n_relevant: NDArray[np.int64],
    ks: list[int],
) -> NDArray[np.float64]:
    """Return every metric of every user at each k, (n, metrics, len(ks))."""
    depth = min(ks[-1], ranked.shape[1])
    lengths = np.array(ks, dtype=np.int64)
    values = np.empty((len(ranked), len(METRICS), len(ks)))
    rows = max(1, BLOCK_CELLS // max(depth, 1))
    for first in range(0, len(ranked), rows):
        block = slice(first, first + rows)
        hits = Hits(_look_up(relevant[block], ranked[block, :depth]), n_relevant[block], lengths)
        values[block] = np.stack([metric.formula(hits) for metric in METRICS], axis=1)
    return values


def _look_up(relevant: NDArray[np.bool_], ranked: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return for each place of the lists whether its video is relevant; never at padding."""
    padded = np.pad(relevant, ((0, 0), (0, 1)))  # the -1 of padding reads the last column, False
    is_hit: NDArray[np.bool_] = padded[np.arange(len(ranked))[:, None], ranked]
    return is_hit
