"""How many nights may be night at a time: as many as cores and free memory allow."""

from collections.abc import Iterable

import psutil

from flows.runners.local_runners import cores, free_mib
from schemas.artifacts import ArtifactRef, NightResult


def need_mib(night: NightResult, *, in_cluster: bool = False) -> float:
    """Return what a night needs here: this process, which just did it, and its hungriest step.

    The step's rise is kept with what it made, so it is known of a night that was there before. On a
    cluster the steps are not here.
    """
    own = float(psutil.Process().memory_info().rss) / 2**20
    if in_cluster:
        return own
    made: Iterable[ArtifactRef] = [*night.snapshot.models.values(), *night.snapshot.tables.values()]
    rise = max(float(ref.metadata.get("peak_mib", 0)) for ref in made)
    return own + rise


def max_parallel_nights(need: float, wanted: int | None) -> int:
    """Return ``wanted``, or how many nights of ``need`` MiB each fit at a time, at least 1."""
    if wanted is not None:
        return wanted
    return max(1, min(cores(), int(free_mib() // need)))
