"""How many nights may be night at a time: as many as cores and free memory allow."""

import os
from collections.abc import Iterable

import psutil

from schemas.artifacts import ArtifactRef, NightResult

SPARED = 0.2
"""Share of the free memory that is left to others."""


def need_mib(night: NightResult) -> float:
    """Return what a night needs: this process, which just did it, and its hungriest step.

    The step's rise is kept with what it made, so it is known of a night that was there before.
    """
    made: Iterable[ArtifactRef] = [*night.snapshot.models.values(), *night.snapshot.tables.values()]
    rise = max(float(ref.metadata.get("peak_mib", 0)) for ref in made)
    return float(psutil.Process().memory_info().rss) / 2**20 + rise


def max_parallel_nights(need: float, wanted: int | None) -> int:
    """Return ``wanted``, or how many nights of ``need`` MiB each fit at a time, at least 1."""
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = psutil.virtual_memory().available / 2**20 * (1 - SPARED)
    return max(1, min(cores or 1, int(free // need)))
