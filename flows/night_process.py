"""Nights played again, each in a process of its own, as many at a time as memory allows.

Not in ``flows.backfill``, which as a command is called ``__main__``: what other processes send back
must be of a class that both know by the same name.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Thread
from typing import Any, NamedTuple

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import set_api_log_sink
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from flows.parallel_nights import need_mib, nights_abreast
from flows.pipeline import play
from schemas.artifacts import Played
from schemas.errors import ReplayError
from schemas.settings import BackfillConfig
from tasks.artifacts.table_task import Refs, chore
from tasks.features.task import Days
from tasks.reporting.progress import Bar


class Replayed(NamedTuple):
    """A night that was played, and the memory its process needed."""

    played: Played
    need_mib: float


@chore("replay", "replay-{days.as_of}", hours=12)
def replay(config: BackfillConfig, tables: Refs, days: Days) -> Replayed:
    """Play one night, in a process of its own."""
    played = play(config, tables, days)
    return Replayed(played, need_mib(played))


@flow(
    name="replay-nights",
    flow_run_name="replay-nights",
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
def replay_nights(
    config: BackfillConfig, tables: Refs, nights: Sequence[Days]
) -> list[Replayed | BaseException]:
    """Play nights, as many at a time as the task runner has processes; errors are results."""
    futures = [replay.submit(config, tables, days) for days in nights]
    bar = Bar("nights", "Nights played, of those that were asked for")
    ended: list[Replayed | BaseException] = []
    for future in futures:
        try:
            future.wait()
            ended.append(future.state.result(raise_on_failure=False))
        except BrokenProcessPool as killed:  # with one process, all that wait for one are lost
            ended.append(killed)
        bar.show(100 * len(ended) / len(nights))
    return ended


def replayed(config: BackfillConfig, tables: Refs, nights: Sequence[Days]) -> list[Played]:
    """Play the first night alone, to learn what one needs, then the others as memory allows.

    ReplayError, when all have ended, if any failed.
    """
    ended: list[Replayed | BaseException] = []
    abreast = 1
    with one_server():
        for some in (nights[:1], nights[1:]):
            if some:
                runner: TaskRunner[Any] = ProcessPoolTaskRunner(
                    max_workers=min(abreast, len(some)), initializer=stand_alone
                )
                ended += replay_nights.with_options(task_runner=runner)(config, tables, some)
            if isinstance(ended[0], Replayed):
                abreast = nights_abreast(ended[0].need_mib, config.workers)
    played = [night.played for night in ended if isinstance(night, Replayed)]
    if len(played) < len(nights):
        failed = [
            f"{days.as_of}: {str(night) or type(night).__name__}"
            for days, night in zip(nights, ended, strict=True)
            if not isinstance(night, Replayed)
        ]
        raise ReplayError(
            f"{len(failed)} of {len(nights)} nights failed ({'; '.join(failed)}). What was finished"
            " is kept: run again to go on"
        )
    return played


def stand_alone() -> None:
    """Prepare a pool's process so that neither its end nor its parent's harms the other.

    Prefect sends logs and events of a pool by a queue that all its processes write to. One killed
    while it writes leaves the queue's lock taken for ever, and the parent would wait for it when
    it ends. So each talks to the server itself. And it ends with its parent, whom a pool's
    processes would outlive, waiting.
    """
    set_api_log_sink(None)
    EventsWorker.set_client_override(None)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=follow, daemon=True).start()


@contextmanager
def one_server() -> Iterator[None]:
    """Let all processes talk to the server of this one, also where that is a temporary one."""
    with get_client(sync_client=True) as client:
        address = str(client.api_url).rstrip("/")
    with temporary_settings({PREFECT_API_URL: address}):
        yield
