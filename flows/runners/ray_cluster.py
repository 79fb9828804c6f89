"""Tasks on the nodes of a Ray cluster: one that is there, or a local one."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

from prefect.task_runners import TaskRunner
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options

from flows.environment import ENVIRONMENT
from flows.runners.cluster_checks import (
    PATIENCE,
    api_address,
    asked_of_worker,
    check_answers,
    check_workers,
    no_answer,
)
from flows.runners.cluster_runner import TRIES, ClusterRunner
from flows.runners.local_runners import environment_with, free_mib, workers_here
from schemas.settings import DataConfig
from tasks.artifacts.needs import Needs, Offer

SHORT = "/tmp"  # noqa: S108  # the names of Ray's sockets are long, and their length is limited
STORE_BYTES = 80 * 2**20
"""Of Ray's own store, through which references go; it would take a third of the memory."""


@contextmanager
def cluster_runner(config: DataConfig) -> Iterator[tuple[TaskRunner[Any], str]]:
    """Join a cluster, or start one of this run's own; give its runner and its address.

    RunnerError if it does not answer, or has nodes that cannot do this work.
    """
    started = local_cluster if config.runner_address is None else joined_cluster
    with started(config) as address:
        ray = import_module("ray")
        offers = offers_here(ray, config.root)

        def asking(needs: Needs) -> AbstractContextManager[Any]:
            options: AbstractContextManager[Any] = remote_options(**asked(needs.fitted(offers)))
            return options

        def fetch(future: Any, timeout: float | None) -> Any:
            return ray.get(future, timeout=timeout)

        with RayTaskRunner() as inner:
            yield ClusterRunner(inner, fetch, asking), address


def asked(needs: Needs) -> dict[str, Any]:
    """Say what a task wants as Ray's options, and how often it may take a worker with it."""
    return {
        "num_cpus": needs.cores,
        "memory": needs.mib * 2**20,
        "num_gpus": int(needs.uses_gpu),
        "max_retries": TRIES - 1,
    }


def offers_here(ray: Any, root: str) -> list[Offer]:
    """Ask the nodes of the cluster what they are and have; RunnerError if they will not do."""
    on_node = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"]]
    api, ask = api_address(), ray.remote(asked_of_worker)
    answers: dict[str, Any] = {}
    for node in nodes:
        there = ask.options(num_cpus=0, scheduling_strategy=on_node(node["NodeID"], soft=False))
        answers[node["NodeManagerAddress"]] = answer_of(ray, there.remote(api, root))
    check_workers(answers)
    return [offer_of(node["Resources"]) for node in nodes]


def answer_of(ray: Any, asked: Any) -> Any:
    """Wait for what a node says of itself; the error is an answer, too."""
    try:
        return ray.get(asked, timeout=6 * PATIENCE)
    except Exception as error:  # noqa: BLE001  # Ray makes its errors of those of the other side
        return error


def offer_of(resources: Mapping[str, float]) -> Offer:
    """Read what a node has for tasks."""
    memory, cores = resources.get("memory", 0), resources.get("CPU", 0)
    return Offer(memory / 2**20, cores, resources.get("GPU", 0))


@contextmanager
def joined_cluster(config: DataConfig) -> Iterator[str]:
    """Join the cluster at an address; its workers get this process's environment for the tasks."""
    address = str(config.runner_address)
    check_answers(address)
    env = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    env["PREFECT_API_URL"] = api_address()
    try:
        connect(address=address, runtime_env={"env_vars": env})
    except Exception as error:  # of many kinds
        raise no_answer(address, error) from error
    with ended():
        yield address


@contextmanager
def local_cluster(config: DataConfig) -> Iterator[str]:
    """Start a node on this machine that nobody else can talk to; give its address."""
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex()}
    with (
        environment_with(own),
        TemporaryDirectory(prefix="grail-ray-", dir=SHORT, ignore_cleanup_errors=True) as folder,
        ended(),
    ):
        connect(
            address="local",
            num_cpus=workers_here(config),
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            _memory=free_mib() * 2**20,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        yield import_module("ray").get_runtime_context().gcs_address


def connect(**given: Any) -> None:
    """Connect this process to Ray; signals stay whose they were."""
    former = signal.getsignal(signal.SIGTERM)
    import_module("ray").init(**given, namespace="grail", logging_level="ERROR")
    with suppress(ValueError):  # in another thread than the main one it was not changed
        signal.signal(signal.SIGTERM, former)


@contextmanager
def ended() -> Iterator[None]:
    """Part from Ray, and end what was started, when the block ends."""
    try:
        yield
    finally:
        import_module("ray").shutdown()
