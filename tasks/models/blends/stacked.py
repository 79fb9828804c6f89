"""A small network of scikit-learn over component scores and a few traits of user and video."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROWS_AT_ONCE = 1 << 14
"""So many pairs go through the network together: its hidden layer stays in the cache."""


@dataclass(frozen=True)
class Stack:
    """One hidden layer of h rectified units over f inputs, as plain arrays.

    ``inner`` is (f, h), ``inner_bias`` (h,), ``outer`` (h,); inputs are first standardised by
    ``mean`` and ``deviation`` (f,). The outer bias is left out: it moves all videos alike.
    """

    mean: Floats
    deviation: Floats
    inner: Floats
    inner_bias: Floats
    outer: Floats

    @classmethod
    def fit(
        cls, inputs: Floats, enjoyed: NDArray[np.bool_], units: int, epochs: int, seed: int
    ) -> Self:
        """Learn what tells the enjoyed pairs from the others: ``inputs`` (p, f), ``enjoyed`` (p,).

        Both kinds of pairs must be there.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        # In float32 the sums of so many rows are wrong by per cents, and a constant is none
        mean, deviation = (
            inputs.mean(axis=0, dtype=np.float64),
            inputs.std(axis=0, dtype=np.float64),
        )
        deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
        mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
        network = MLPClassifier(
            (units,),
            alpha=1e-3,
            batch_size=min(1024, len(inputs)),
            learning_rate_init=3e-3,
            max_iter=epochs,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so few epochs on purpose
            network.fit((inputs - mean) / deviation, enjoyed)
        (inner, outer), (inner_bias, _) = network.coefs_, network.intercepts_
        arrays = (mean, deviation, inner, inner_bias, outer[:, 0])
        return cls(*(np.asarray(array, dtype=np.float32) for array in arrays))

    def log_odds(self, inputs: Floats) -> Floats:
        """Return the log odds (p,), up to a constant, that a pair is enjoyed."""
        odds = np.empty(len(inputs), dtype=np.float32)
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            hidden = ((inputs[rows] - self.mean) / self.deviation) @ self.inner
            hidden += self.inner_bias
            np.maximum(hidden, 0, out=hidden)
            odds[rows] = hidden @ self.outer
        return odds
