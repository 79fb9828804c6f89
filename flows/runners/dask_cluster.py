"""Tasks on the workers of a Dask cluster: one that is there, or a local one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import dask
import distributed
from distributed.security import Security
from prefect.task_runners import TaskRunner
from prefect_dask import DaskTaskRunner

from flows.runners.cluster_checks import (
    PATIENCE,
    api_address,
    asked_of_worker,
    check_answers,
    check_workers,
    no_answer,
)
from flows.runners.cluster_runner import TRIES, ClusterRunner
from flows.runners.local_runners import cores, environment_with, free_mib, workers_here
from schemas.errors import RunnerError
from schemas.settings import DataConfig
from tasks.artifacts.needs import Needs, Offer

WITHOUT_WORKERS = "10 minutes"
"""After so long without any worker, what waits for one is given up. A restart takes seconds."""

INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"
"""Environment variable by which a process has the Dask configuration of another."""


@contextmanager
def cluster_runner(config: DataConfig) -> Iterator[tuple[TaskRunner[Any], str]]:
    """Join a cluster, or start one of this run's own; give its runner and its address.

    RunnerError if it does not answer, has no workers, or has such as cannot do this work.
    """
    if config.runner_address is None:
        with local_cluster(config) as address, joined(address, config.root) as runner:
            yield runner, address
    else:
        check_answers(config.runner_address)
        with joined(config.runner_address, config.root) as runner:
            yield runner, config.runner_address


@contextmanager
def joined(address: str, root: str) -> Iterator[TaskRunner[Any]]:
    """Give the runner of a cluster that is there, when its workers have answered for themselves."""
    offers = offers_at(address, root)

    def asking(needs: Needs) -> AbstractContextManager[Any]:
        fitted = needs.fitted(offers)
        gpu = {"GPU": 1} if fitted.uses_gpu else {}
        wanted = {"MEMORY": fitted.mib * 2**20, "CPU": fitted.cores, **gpu}
        annotated: AbstractContextManager[Any] = dask.annotate(resources=wanted)
        return annotated

    with DaskTaskRunner(address=address) as runner:
        yield ClusterRunner(runner, distributed.Future.result, asking)


def offers_at(address: str, root: str) -> list[Offer]:
    """Ask the workers of a cluster what they are and have; RunnerError if they will not do."""
    try:
        client = distributed.Client(address, timeout=3 * PATIENCE, set_as_default=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise no_answer(address, error) from error
    with client:
        asked = partial(asked_of_worker, api_address(), root)
        check_workers(client.run(asked, on_error="return"))
        workers = client.scheduler_info(n_workers=-1)["workers"]
    return [offer_of(worker, its["resources"]) for worker, its in workers.items()]


def offer_of(worker: str, resources: dict[str, float]) -> Offer:
    """Read what a worker has for tasks; RunnerError if it does not say so."""
    if not {"MEMORY", "CPU"} <= resources.keys():
        raise RunnerError(
            f"worker {worker} does not say what it holds, so that two hungry tasks might share it:"
            " start it with --resources 'MEMORY=8e9,CPU=4' (bytes, cores; and GPU=1 for each GPU)"
        )
    return Offer(resources["MEMORY"] / 2**20, resources["CPU"], resources.get("GPU", 0))


@contextmanager
def local_cluster(config: DataConfig) -> Iterator[str]:
    """Start workers on this machine that nobody else can talk to; give the scheduler's address."""
    number = workers_here(config)
    threads = max(1, cores() // number)
    with (
        own_settings(),
        distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=threads,
            host="tls://127.0.0.1",
            security=Security(),
            silence_logs=logging.ERROR,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            # What tasks ask for keeps the hungry apart; a full worker would pause for ever
            memory_limit=0,
            resources={"MEMORY": free_mib() * 2**20 / number, "CPU": threads},
            local_directory=tempfile.gettempdir(),
        ) as cluster,
    ):
        yield cluster.scheduler_address


@contextmanager
def own_settings() -> Iterator[None]:
    """Let a scheduler talk only to those who have this run's key: it runs whatever it is sent.

    All that is started from here has it, too. And lost workers are replaced, however long it takes.
    """
    own = Security.temporary()
    keys = {
        f"distributed.comm.tls.{role}.{part}": getattr(own, f"tls_{role}_{part}")
        for role in ("scheduler", "worker", "client")
        for part in ("key", "cert")
    }
    settings = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": own.tls_ca_file,
        "distributed.scheduler.allowed-failures": TRIES - 1,
        "distributed.scheduler.no-workers-timeout": WITHOUT_WORKERS,
        # A lost worker's own nanny starts the next. By Dask's default it is told to leave if that
        # takes 15 seconds, as on a loaded machine, and what it was doing then waits for ever
        "distributed.deploy.lost-worker-timeout": "365 days",
        "distributed.scheduler.http.routes": [],  # pages that ask for no key
        "distributed.worker.http.routes": [],
        **keys,
    }
    with dask.config.set(settings):
        handed = dask.config.serialize(dask.config.global_config)
        with environment_with({INHERITED: handed}):
            yield
