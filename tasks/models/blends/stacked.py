"""A small network of scikit-learn over component scores and a few context features."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tasks.models.blends.blend import Blend, BlendTraining, FloatMatrix, Index, Inputs, chunks
from tasks.models.blends.context_features import context_features_of

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

        Both kinds of pairs must be there, in an order that says nothing: it is that of the batches.
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
            shuffle=False,  # it takes a third of the time, anew for each epoch
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


NETWORK = tuple(f"{field.name}_" for field in fields(Stack))
ENJOYED_SHARE = 0.5
"""A pair counts as enjoyed if this share of its views was."""


class Stacked(Blend):
    """Sees traits of user and video beside what the components say.

    Components that do not help for sure are not even an input. Without any that does, or with pairs
    of one kind alone, there is nothing to learn.
    """

    name: ClassVar[str] = "stacked"
    state_attributes: ClassVar[tuple[str, ...]] = ("user_context_", "video_context_", *NETWORK)
    user_context_: FloatMatrix
    video_context_: FloatMatrix
    silenced: frozenset[str] = frozenset()
    """Inputs that it must not listen to."""

    @classmethod
    def fit(cls, training: BlendTraining) -> Self | None:
        """Learn the network on some of the pairs; None if there is nothing to learn."""
        is_enjoyed = training.pairs["enjoyed"].to_numpy() >= ENJOYED_SHARE
        if not training.is_sure or is_enjoyed.all() or not is_enjoyed.any():
            return None
        config, n_pairs = training.config, training.pairs.height
        rng = np.random.default_rng(training.seed)
        taken = rng.choice(n_pairs, min(config.pairs, n_pairs), replace=False)
        users, videos = (
            training.pairs[name].to_numpy()[taken] for name in ("user_idx", "video_idx")
        )
        user_context, video_context = context_features_of(training.users_then, training.videos_then)
        rows = np.hstack([training.said[taken], user_context[users], video_context[videos]])
        network = Stack.fit(
            rows, is_enjoyed[taken], config.hidden_units, config.epochs, training.seed
        )
        blend = cls(training.weights)
        blend.user_context_, blend.video_context_ = context_features_of(
            training.users, training.videos
        )
        for attribute in NETWORK:
            setattr(blend, attribute, getattr(network, attribute[:-1]))
        return blend

    @property
    def active(self) -> tuple[str, ...]:
        """The components that are inputs of the network."""
        return tuple(name for name in self.weights if name not in self.silenced)

    def without(self, component: str, weights: Mapping[str, float]) -> Self | None:  # noqa: ARG002
        """Return the same network, to which the component is silent; None if it hears nobody."""
        other = type(self)(self.weights)
        vars(other).update(vars(self))
        other.silenced = self.silenced | {component}
        return other if other.active else None

    def combine(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        """Return the network's log odds, float32 (n, m)."""
        blended = np.empty((len(user_idx), len(video_idx)), dtype=np.float32)
        for rows in chunks(len(user_idx)):
            said = {name: inputs[name][rows] for name in self.active if name in inputs}
            blended[rows] = self._log_odds(said, user_idx[rows], video_idx)
        return blended

    def _log_odds(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        shape = (len(user_idx), len(video_idx))
        silent = np.zeros(shape, dtype=np.float32)
        planes = [np.nan_to_num(inputs.get(name, silent)) for name in self.weights]
        planes += [np.broadcast_to(t[:, None], shape) for t in self.user_context_[user_idx].T]
        planes += [np.broadcast_to(t, shape) for t in self.video_context_[video_idx].T]
        rows = np.stack(planes, axis=-1).reshape(-1, len(planes))
        network = Stack(*(getattr(self, attribute) for attribute in NETWORK))
        return network.log_odds(rows).reshape(shape)
