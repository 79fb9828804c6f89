"""What a blend is: one way to make one score of what the components say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.model_settings import HybridConfig
from tasks.models.array_file import read_arrays, write_arrays

FloatMatrix = NDArray[np.float32]
Index = NDArray[np.integer[Any]]
Inputs = Mapping[str, FloatMatrix]
"""Standardised scores by component, (n, m) each; NaN, or absent, where it is silent."""

USERS_AT_ONCE = 64
"""Users scored together: 3 MB a component at KuaiRec's size."""


@dataclass(frozen=True)
class BlendTraining:
    """What a blend learns from: p pairs that users first saw on days before the cut.

    ``weights`` are those of the c components that help, in order, sum 1; ``is_sure`` is false where
    none helps for sure, so that all weigh the same. ``said``, float32 (p, c), are their
    standardised scores then, 0 where silent; ``pairs`` has user_idx, video_idx and enjoyed (share
    of the pair's views). ``users_then`` and ``videos_then`` are the feature tables of that time,
    ``users`` and ``videos`` those of the cut.
    """

    weights: Mapping[str, float]
    is_sure: bool
    said: FloatMatrix
    pairs: pl.DataFrame
    users_then: pl.DataFrame
    videos_then: pl.DataFrame
    users: pl.DataFrame
    videos: pl.DataFrame
    config: HybridConfig
    seed: int


class Blend(ABC):
    """A way to blend. A subclass has a ``name``, writes ``combine``, and stands in ``BLENDS``.

    One that learns more than the weights writes ``fit`` and ``without`` too, and names the arrays
    that it ``state_attributes``, attributes that end in ``_``: they are saved and loaded for it.
    """

    name: ClassVar[str]
    state_attributes: ClassVar[tuple[str, ...]] = ()
    part_means: ClassVar[str] = (
        "a part is by how much the score falls when that component is silent"
    )
    """What an explained list says of the parts."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Take the weight of each component that helps, in their order."""
        self.weights = dict(weights)

    @classmethod
    def fit(cls, training: BlendTraining) -> Self | None:
        """Learn how to combine; None if there is nothing to learn it from."""
        return cls(training.weights)

    @property
    def active(self) -> tuple[str, ...]:
        """The components that it listens to."""
        return tuple(self.weights)

    @abstractmethod
    def combine(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        """Return one score of each of n users and m videos, float32 (n, m).

        A silent component counts as 0, its mean. Where all are silent the score is not used.
        """

    def without(self, component: str, weights: Mapping[str, float]) -> Self | None:  # noqa: ARG002
        """Return the blend as it would be without a component; None if nothing is left of it.

        ``weights`` are those learned anew from the other components.
        """
        return type(self)(weights)

    def parts(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> dict[str, FloatMatrix]:
        """Return by component what it adds to the scores, float32 (n, m), 0 where it is silent.

        All of the score where no other component speaks.
        """
        whole = self.combine(inputs, user_idx, video_idx)
        parts = {}
        for name in self.active:
            others = {other: said for other, said in inputs.items() if other != name}
            without = self.combine(others, user_idx, video_idx)
            np.copyto(without, 0, where=self.is_silent(others, without.shape))
            parts[name] = np.where(np.isnan(inputs[name]), np.float32(0), whole - without)
        return parts

    def save(self, folder: Path) -> None:
        """Write the learned arrays into ``folder`` as ``<name>.safetensors``, if there are any."""
        if self.state_attributes:
            arrays = {attribute: getattr(self, attribute) for attribute in self.state_attributes}
            write_arrays(folder / f"{self.name}.safetensors", arrays)

    @classmethod
    def load(cls, folder: Path, weights: Mapping[str, float]) -> Self:
        """Read what ``save`` wrote; ModelError if it is not there or not whole."""
        blend = cls(weights)
        if cls.state_attributes:
            vars(blend).update(
                read_arrays(folder / f"{cls.name}.safetensors", cls.state_attributes)
            )
        return blend

    def is_silent(self, inputs: Inputs, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return bool (n, m): where no component that it listens to says anything."""
        silent = np.ones(shape, dtype=bool)
        for name in self.active:
            if name in inputs:
                silent &= np.isnan(inputs[name])
        return silent


def chunks(n_users: int) -> Iterator[slice]:
    """Yield the rows of users, so many at a time as are scored together."""
    for start in range(0, n_users, USERS_AT_ONCE):
        yield slice(start, start + USERS_AT_ONCE)
