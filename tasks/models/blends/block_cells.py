"""The block's cells of validation users, as a blend learns from them and is tried on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.ranking import rank
from tasks.models.blends.blend import FloatMatrix, Inputs, chunks
from tasks.models.blends.weights import Floats, moments_by_user

Rows = NDArray[np.intp]

K = 10
LOG_ALONE = "the log alone"
"""What a blend is learned from where no validation user has a cell of the block."""
FOLDS = 5
"""So many parts the users are cut into; each is tried with weights that the others gave."""


@dataclass(frozen=True)
class BlockCells:
    """What c components say of the n validation users' m videos, and what was enjoyed of them.

    ``said`` are their standardised scores by name, float32 (n, m) each, 0 where ``silent``, bool
    (n, m), is true. Users are asked for by their rows, and gone through some at a time.
    """

    users: EvalSet
    said: Mapping[str, FloatMatrix]
    silent: Mapping[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, users: EvalSet, said: Inputs) -> BlockCells:
        """Take scores (n, m) by name, NaN where silent; they are changed."""
        silent = {name: np.isnan(scores) for name, scores in said.items()}
        for scores in said.values():
            np.nan_to_num(scores, copy=False)
        return cls(users, said, silent)

    @property
    def rows(self) -> Rows:
        """The rows of all users."""
        return np.arange(len(self.users.user_idx))

    @property
    def learned_from(self) -> str:
        """What weights are learned from, in words."""
        n = len(self.users.user_idx)
        return f"the block's cells of {n:,} validation users, and the log" if n else LOG_ALONE

    @cached_property
    def moments(self) -> Floats:
        """What weights are learned from, user by user: float64 (n, c + 1, c)."""
        parts = [self._moments(users) for users in chunks(len(self.users.user_idx))]
        return np.concatenate([np.empty((0, len(self.said) + 1, len(self.said))), *parts])

    def _moments(self, users: slice) -> Floats:
        """Return those of some users alone: their cells are laid out one below the other."""
        rows, columns = np.nonzero(self.users.candidates[users])
        inputs = np.empty((len(rows), len(self.said)), dtype=np.float32)
        for c, scores in enumerate(self.said.values()):
            inputs[:, c] = scores[users][rows, columns]
        enjoyed = self.users.enjoyed[users][rows, columns].astype(np.float32)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        return moments_by_user(inputs, enjoyed, starts)

    def ndcg(self, score: Callable[[Rows], FloatMatrix], asked: Rows) -> Floats:
        """Return NDCG@10 of those ``asked`` (n,); NaN for those who enjoyed nothing.

        ``score`` gives the scores (k, m) of some rows, NaN where silent.
        """
        figures = np.empty(len(asked))
        for part in chunks(len(asked)):
            rows = asked[part]
            candidates = self.users.candidates[rows]
            ranked = rank(score(rows), candidates, K)
            accuracy = accuracy_at_k(ranked, self.users.enjoyed[rows], [K], candidates)
            figures[part] = accuracy.of("ndcg", K)
        return figures

    def inputs(self, rows: Rows) -> Inputs:
        """Return what all components say of some users, NaN where they are silent."""
        return {name: self._part(name, rows) for name in self.said}

    def _part(self, name: str, rows: Rows) -> FloatMatrix:
        scores = self.said[name][rows]
        np.copyto(scores, np.nan, where=self.silent[name][rows])
        return scores

    def ndcg_of_parts(self) -> dict[str, Floats]:
        """Return each user's NDCG@10 by component alone."""
        return {name: self.ndcg(partial(self._part, name), self.rows) for name in self.said}

    def ndcg_of_weights(self, weights: Floats, asked: Rows) -> Floats:
        """Return NDCG@10 of the weighted sum (c,) of those ``asked`` (n,).

        It is silent where all components that count are.
        """
        heard = {
            name: np.float32(weight)
            for name, weight in zip(self.said, weights, strict=True)
            if weight > 0
        }

        def score(rows: Rows) -> FloatMatrix:
            scores = np.zeros((len(rows), self.users.candidates.shape[1]), dtype=np.float32)
            silent = np.ones(scores.shape, dtype=bool)
            for name, weight in heard.items():
                own = self.said[name][rows]
                own *= weight
                scores += own
                silent &= self.silent[name][rows]
            np.copyto(scores, np.nan, where=silent)
            return scores

        return self.ndcg(score, asked)

    def cross_fitted(self, learned: Callable[[Rows], Floats]) -> Floats:
        """Return each user's NDCG@10 of the weighted sum whose weights never saw that user.

        ``learned`` gives the weights (c,) learned with some of the users only.
        """
        fold = self.rows % FOLDS
        figures = np.full(len(fold), np.nan)
        for left_out in np.unique(fold):
            they = fold == left_out
            weights = learned(np.flatnonzero(~they))
            figures[they] = self.ndcg_of_weights(weights, np.flatnonzero(they))
        return figures


def mean_of(figures: NDArray[np.float64]) -> float:
    """Return the mean over users who enjoyed something; 0 where nobody did."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if known.size else 0.0


def lead_on_best(figures: Floats, parts: Mapping[str, Floats], seed: int) -> dict[str, float | str]:
    """Return which component alone is the best on validation users, and the lead on it.

    The lead is the mean difference in NDCG@10, paired by user, with its 95 % interval; what is not
    defined is left out.
    """
    if not parts:
        return {}
    best = max(parts, key=lambda name: mean_of(parts[name]))
    interval = bootstrap_mean((figures - parts[best])[:, None], seed)
    ends = {"": interval.mean, "_low": interval.low, "_high": interval.high}
    known = {f"lead_on_best_part{end}": float(value[0]) for end, value in ends.items()}
    return {"best_part": best, **{k: v for k, v in known.items() if not np.isnan(v)}}
