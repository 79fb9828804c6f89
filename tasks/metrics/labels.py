"""All labels, which say what counts as relevant: of each its name, its rule, and its words.

A new label is a function here and one line in ``LABELS``: tables, figures, the protocol and the
comparison of the labels follow. Not here: the threshold behind ``enjoyed``, which is learned from
the log (``tasks.features.label_threshold``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.ranking import rank

Mask = NDArray[np.bool_]

OWN_BEST = 1000
"""How many of a user's cells the notebook calls relevant, at most a third of those there are."""


@dataclass(frozen=True)
class Outcomes:
    """What became of all candidates of n users among m videos: what a label may look at.

    Where ``candidates`` is false, ``enjoyed`` is, and ``watch_ratio`` and ``duration_ms`` are 0.
    """

    candidates: Mask
    enjoyed: Mask
    watch_ratio: NDArray[np.float32]
    duration_ms: NDArray[np.int32]


@dataclass(frozen=True)
class Label:
    """A rule by which a candidate is relevant to a user.

    ``is_relevant`` returns bool (n, m) of n users and m videos, false where ``candidates`` is. A
    user's cells decide by themselves: users are asked for some at a time. ``words`` go into the
    protocol, by which figures may be compared or not.
    """

    name: str
    is_relevant: Callable[[Outcomes], Mask]
    words: str
    is_primary: bool = False
    """Whether models are chosen, promoted and shown by it; true of one label."""


def enjoyed(outcomes: Outcomes) -> Mask:
    """Return what outlasted most views of videos of like length."""
    return outcomes.enjoyed


def watched_once(outcomes: Outcomes) -> Mask:
    """Return what was watched for its whole length at least."""
    return outcomes.candidates & (outcomes.watch_ratio >= 1)


def watched_twice(outcomes: Outcomes) -> Mask:
    """Return what was watched for twice its length at least."""
    return outcomes.candidates & (outcomes.watch_ratio >= 2)


def own_best(outcomes: Outcomes) -> Mask:
    """Return each user's own N best cells by watch ratio, ties to the smaller video id."""
    ranked = rank(outcomes.watch_ratio, outcomes.candidates, OWN_BEST)
    n_best = np.minimum(OWN_BEST, outcomes.candidates.sum(axis=1) // 3)
    best = np.zeros(outcomes.candidates.shape, dtype=bool)
    rows, ranks = np.nonzero(np.arange(ranked.shape[1]) < n_best[:, None])
    best[rows, ranked[rows, ranks]] = True
    return best


LABELS = {
    label.name: label
    for label in (
        Label(
            "enjoyed",
            enjoyed,
            "watch ratio above the 80th percentile of training views at the video's length",
            is_primary=True,
        ),
        Label("watch_ratio_ge_1", watched_once, "watch ratio of 1 or more"),
        Label("watch_ratio_ge_2", watched_twice, "watch ratio of 2 or more"),
        Label(
            "top_n",
            own_best,
            "the user's own 1,000 best cells by watch ratio, a third of them at most",
        ),
    )
}
"""All labels by name, in the order of the tables' rows."""

(PRIMARY,) = (label.name for label in LABELS.values() if label.is_primary)
