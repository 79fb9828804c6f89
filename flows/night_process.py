"""Nights of a backfill, each in a process of its own, as many at a time as memory allows.

What other processes send back must be of a class that both know by the same name.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Thread
from typing import Any, NamedTuple

from prefect import flow
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import set_api_log_sink
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner

from flows.outcomes import complaint
from flows.parallel_nights import max_parallel_nights, need_mib
from flows.pipeline import run_night
from flows.runners.cluster_checks import api_address
from flows.runners.process_pool import ProcessPool
from flows.runners.runner_of_setting import RunnerOfSetting, chosen_runner
from schemas.artifacts import NightResult
from schemas.errors import BackfillError, IncompleteNightError, ServerError
from schemas.settings import BackfillConfig
from tasks.artifacts.inputs import Refs
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.table_task import Handle, RunContext
from tasks.features.task import CutoffDates
from tasks.reporting.progress import Bar


class NightOfProcess(NamedTuple):
    """A night, and the memory its process needed."""

    night: NightResult
    need_mib: float


@plain_task("{days.as_of}", hours=12)
def run_night_process(
    config: BackfillConfig, run: RunContext, tables: Refs, days: CutoffDates
) -> NightOfProcess:
    """Do one night, in a process of its own; IncompleteNightError if a model of it fails."""
    night = night_of_day(config, run, tables, days)
    if night.failures:
        raise IncompleteNightError(complaint(night.failures))
    need = need_mib(night, in_cluster=config.runner_address is not None)
    return NightOfProcess(night, need)


@flow(
    name="night",
    flow_run_name="night-{days.as_of}",
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
    task_runner=RunnerOfSetting(),
)
def night_of_day(
    config: BackfillConfig, run: RunContext, tables: Refs, days: CutoffDates
) -> NightResult:
    """Do the night as of a day on tables that are there."""
    handles = {name: Handle(tables, name) for name in tables}
    with chosen_runner(config):
        return run_night(config, run, handles, days)


@flow(
    name="nights",
    flow_run_name="nights",
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
def submit_nights(
    config: BackfillConfig, run: RunContext, tables: Refs, nights: Sequence[CutoffDates]
) -> list[NightOfProcess | BaseException]:
    """Do nights, as many at a time as the task runner has processes; errors are results."""
    futures = [run_night_process.submit(config, run, tables, days) for days in nights]
    bar = Bar("nights", "Nights done, of those that were asked for")
    ended: list[NightOfProcess | BaseException] = []
    for future in futures:
        try:
            future.wait()
            ended.append(future.state.result(raise_on_failure=False))
        # with one process, all that wait for one are lost
        except (BrokenProcessPool, ServerError) as lost:
            ended.append(lost)
        bar.show(100 * len(ended) / len(nights))
    return ended


def run_nights(
    config: BackfillConfig, run: RunContext, tables: Refs, nights: Sequence[CutoffDates]
) -> list[NightResult]:
    """Do the first night alone, to learn what one needs, then the others as memory allows.

    Each has a process, and its tasks run in threads of that or in the cluster at the address of
    ``config``. BackfillError, when all have ended, if any failed.
    """
    if config.runner_address is None:
        config = config.model_copy(update={"runner": "threads"})
    ended: list[NightOfProcess | BaseException] = []
    at_a_time = 1
    with one_server():
        for some in (nights[:1], nights[1:]):
            if some:
                runner: TaskRunner[Any] = ProcessPool(
                    max_workers=min(at_a_time, len(some)), initializer=stand_alone
                )
                submitted = submit_nights.with_options(task_runner=runner)
                ended += submitted(config, run, tables, some)
            if isinstance(ended[0], NightOfProcess):
                at_a_time = max_parallel_nights(ended[0].need_mib, config.workers)
    done = [one.night for one in ended if isinstance(one, NightOfProcess)]
    if len(done) < len(nights):
        failed = [
            f"{days.as_of}: {str(night) or type(night).__name__}"
            for days, night in zip(nights, ended, strict=True)
            if not isinstance(night, NightOfProcess)
        ]
        raise BackfillError(
            f"{len(failed)} of {len(nights)} nights failed ({'; '.join(failed)}). What was finished"
            " is kept: run again to go on"
        )
    return done


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
    with temporary_settings({PREFECT_API_URL: api_address()}):
        yield
