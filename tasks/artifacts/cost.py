"""What a block of work costs: its seconds, and how far memory rose."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_SECONDS = 0.02


@contextmanager
def track_cost() -> Iterator[dict[str, float]]:
    """Measure a block: ``seconds``, and ``peak_mib``, by how much memory rose above its start.

    The memory is the process's: what runs beside the block counts with it.
    """
    cost: dict[str, float] = {}
    process = psutil.Process(os.getpid())
    start = peak = process.memory_info().rss
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, process.memory_info().rss)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    begun = time.perf_counter()
    try:
        yield cost
    finally:
        cost["seconds"] = round(time.perf_counter() - begun, 3)
        ended.set()
        sampler.join()
        cost["peak_mib"] = round((max(peak, process.memory_info().rss) - start) / 2**20, 1)
