"""Threads of this process, or a pool of processes: as many as cores and memory allow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
from prefect.settings import get_current_settings
from prefect.task_runners import TaskRunner

from flows.runners.process_pool import ProcessPool
from flows.runners.thread_pool import ThreadPool
from schemas.runner_settings import RunnerConfig
from tasks.training.training_needs import HUNGRIEST

SPARED = 0.2
"""Share of the free memory that is left to others."""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_mib() -> float:
    """Return the MiB of memory that may be used here."""
    return float(psutil.virtual_memory().available) / 2**20 * (1 - SPARED)


def workers_here(config: RunnerConfig, most: int | None = None) -> int:
    """Return how many tasks may run at a time: as asked for, or as cores and memory allow."""
    if config.runner_workers is not None:
        return config.runner_workers
    return max(1, min(most or cores(), int(free_mib() // HUNGRIEST.mib)))


@contextmanager
def thread_pool(config: RunnerConfig) -> Iterator[tuple[TaskRunner[Any], None]]:
    """Start threads: at most as many as PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS says."""
    most = get_current_settings().tasks.runner.thread_pool_max_workers
    with ThreadPool(max_workers=workers_here(config, most)) as runner:
        yield runner, None


@contextmanager
def process_pool(config: RunnerConfig) -> Iterator[tuple[TaskRunner[Any], None]]:
    """Start processes: at most as many as PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS says."""
    most = get_current_settings().tasks.runner.process_pool_max_workers
    with ProcessPool(max_workers=workers_here(config, most)) as runner:
        yield runner, None


@contextmanager
def environment_with(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, also for what is started, until the block ends."""
    former = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
