"""Independent random streams of one seed, so that no part depends on how much another drew."""

from enum import IntEnum

import numpy as np


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


def stream(seed: int, purpose: Stream, *part: int) -> np.random.Generator:
    """Return the generator of a purpose, or of a numbered part of it such as a chunk."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), *part)))
