"""Independent random streams of one seed, so that no part depends on how much another drew."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri


class Stream(IntEnum):
    """One number for each purpose; adding one changes no other."""

    VIDEOS = 0
    USERS = 1
    GROUPS = 2
    LOG = 3
    BLOCK = 4
    USER_TABLE = 5
    CAPTIONS = 6
    DAILY = 7
    REWATCH = 8
    POLICY = 9


def stream(seed: int, purpose: Stream, *part: int) -> np.random.Generator:
    """Return the generator of a purpose, or of a numbered part of it such as a chunk."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), *part)))


def even_uniform(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return n numbers evenly spread over 0..1 in random order: the stratified uniform draw."""
    return np.asarray((rng.permutation(n) + 0.5) / n)


def even_normal(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return n normal quantiles in random order.

    Where a figure hangs on few users or videos, this keeps worlds of different seeds alike.
    """
    return np.asarray(ndtri(even_uniform(n, rng)))
