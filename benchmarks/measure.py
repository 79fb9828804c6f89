"""How a side measures itself: the time of the work alone, and all the memory of its process.

Imports and the reading of what all sides share are outside the time. Memory is what the process had
at its peak in all, libraries and inputs included, up to the end of the work.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ground import Ground

Facts = dict[str, Any]
"""What a side says of itself: ``seconds``, ``peak_mib``, and what else there is to know."""
Side = Callable[[Ground], Facts]

CHECK = "check"
"""The side of a part that compares what the others left, and fails if it is not equal."""
SAMPLE_SECONDS = 0.1


@dataclass
class Memory:
    """Memory of this process and its children over time: (unix seconds, MiB)."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Take samples until ``ended``."""
        own = psutil.Process(os.getpid())
        while not self.ended.wait(SAMPLE_SECONDS):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:  # it ended between the list and the question
                    continue
            self.samples.append((time.time(), total / 2**20))

    def peak(self, start: float = 0.0, end: float = float("inf")) -> float:
        """Return the most that was seen between two moments; 0 if there was no sample."""
        seen = [mib for moment, mib in self.samples if start <= moment <= end]
        return max(seen, default=0.0)


@contextmanager
def timed() -> Iterator[Facts]:
    """Measure a block that stays in this process: ``seconds`` and ``peak_mib``."""
    facts: Facts = {}
    gc.collect()
    begun = time.perf_counter()
    yield facts
    facts["seconds"] = time.perf_counter() - begun
    facts["peak_mib"] = own_peak_mib()


@contextmanager
def timed_tree() -> Iterator[tuple[Facts, Memory]]:
    """Measure a block that starts processes: the peak is that of the sum over all of them."""
    memory = Memory()
    watcher = threading.Thread(target=memory.watch, daemon=True)
    watcher.start()
    try:
        with timed() as facts:
            yield facts, memory
    finally:
        memory.ended.set()
        watcher.join()
    facts["own_peak_mib"] = facts["peak_mib"]
    facts["peak_mib"] = max(facts["peak_mib"], memory.peak())


def own_peak_mib() -> float:
    """Return the most memory that this process ever had resident.

    From ``/proc``: ``ru_maxrss`` of a child starts at what its parent had.
    """
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) / 1024
