"""All metrics of a list's accuracy: of each its name, its formula, and its words for people.

A new metric is a function here and one line in ``METRICS``: tables, MLflow's charts, Prefect's page
and the protocol follow. Not here: the counting of hits (``tasks.metrics.hits``), means over users
(``tasks.metrics.leaderboard``), and what lists are like apart from being right
(``tasks.metrics.beyond_accuracy``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.hits import Hits

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A figure from 0 to 1 of each user's list, at each length k.

    ``formula`` returns it for n users as float64 (n, number of k), NaN where it is not defined: 0/0
    may be left to NumPy, which does not warn. ``words`` go into the protocol, by which figures may
    be compared or not.
    """

    name: str
    formula: Callable[[Hits], Floats]
    words: str
    title: str
    """Heads its column in tables, before ``@k``."""
    of_oracle: float | None = None
    """What the best possible lists have, whatever the user and k; None: that depends on them.

    A night in which the oracle has anything else is stopped.
    """


def precision(hits: Hits) -> Floats:
    """Return sum(rel(r), r <= k) / k."""
    return hits.counts / hits.ks


def recall(hits: Hits) -> Floats:
    """Return sum(rel(r), r <= k) / R; NaN without a relevant candidate."""
    return hits.counts / hits.n_relevant[:, None]


def ndcg(hits: Hits) -> Floats:
    """Return sum(rel(r) / log2(r + 1), r <= k) / sum(1 / log2(r + 1), r <= min(k, R)).

    NaN without a relevant candidate. Järvelin and Kekäläinen (2002), "Cumulated gain-based
    evaluation of IR techniques", with the discount of Burges et al. (2005).
    """
    # The two sums round differently: a perfect list must not come out above 1.
    return np.minimum(hits.gains / hits.ideal_gains, 1.0)


METRICS = (
    Metric("precision", precision, "hits / k", "P"),
    Metric("recall", recall, "hits / all relevant candidates of the user", "R"),
    Metric(
        "ndcg",
        ndcg,
        "binary gain, discount 1 / log2(rank + 1), ideal over min(k, relevant)",
        "NDCG",
        of_oracle=1.0,
    ),
)
"""All metrics, in the order of the tables' rows."""
