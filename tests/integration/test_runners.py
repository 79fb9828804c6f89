"""The same night under each task runner: the same bytes, the same edges. And what breaks it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import dask
import distributed
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.nightly import nightly
from flows.outcomes import failure_of
from flows.pipeline import Day, build_features, ingest_files
from flows.pipeline import made as found
from flows.runners import dask_cluster, packages
from flows.runners.cluster_runner import TRIES
from flows.runners.dask_cluster import local_cluster, offers_at
from flows.runners.packages import check_runner
from flows.runners.runner_of_setting import RUNNERS, RunnerOfSetting, chosen_runner
from schemas.artifacts import Failure, Manifest
from schemas.errors import RunnerError
from schemas.settings import LearningConfig, NightlyConfig
from tasks.artifacts.table_task import Handle, RunContext
from tasks.evaluation.task import evaluate
from tasks.features.task import resolve_cutoffs
from tasks.sources.task import acquire
from tasks.training.task import inputs_of, train
from tests.integration.deadly_worker import DiesOfNewTasks, known_keys
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
PROJECT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = {"source": "demo", "scale": 0.02, "models": ("random", "popularity")}
MEMORY = {"MEMORY": 2_000 * 2**20, "CPU": 2}
"""Of a worker that has threads for two trainings and memory for one."""


def test_the_setting_names_each_runner() -> None:
    assert set(get_args(LearningConfig.model_fields["runner"].annotation)) == set(RUNNERS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    """A cluster that is there before a run and after it: one worker, of two threads."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, resources=MEMORY
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("roots")


@pytest.fixture(scope="module")
def played(prefect_server: str, cluster: distributed.LocalCluster, roots: Path) -> dict[str, Ran]:
    """The same night by three runners, each in the root of its name."""
    joined = {"dask": {"runner_address": cluster.scheduler_address}}
    return {
        runner: night(roots / runner, runner=runner, **SETTINGS, **joined.get(runner, {}))
        for runner in ("threads", "processes", "dask")
    }


@pytest.mark.parametrize("runner", ["processes", "dask"])
def test_a_night_elsewhere_is_the_one_in_threads(
    played: dict[str, Ran], roots: Path, runner: str
) -> None:
    """Tables lie where all that they depend on says, and hold the same bytes."""
    ours, theirs = made(roots / "threads"), made(roots / runner)
    assert len(ours) > 15
    assert ours == theirs
    assert played["threads"].states.keys() == played[runner].states.keys()


def made(root: Path) -> dict[str, dict[str, str]]:
    """Return the checksum of each file of each table and model, by where they are in the root."""
    return {
        str(file.parent.relative_to(root)): {
            name: entry.sha256
            for name, entry in Manifest.model_validate_json(file.read_text()).files.items()
        }
        for file in root.glob("[!.]*/*/*/manifest.json")
    }


def test_two_hungry_tasks_never_share_a_worker_that_holds_one(played: dict[str, Ran]) -> None:
    """It has a thread for each, and the trainings of two days wait for none of each other."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(played["dask"].flow_run_id)]))
    with get_client(sync_client=True) as client:
        runs = [r for r in client.read_task_runs(flow_run_filter=run) if "train" in r.name]
    spans = sorted((r.start_time, r.end_time) for r in runs if r.start_time and r.end_time)
    assert len(spans) == 4
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@flow(task_runner=RunnerOfSetting(), validate_parameters=False)
def among_killers(config: NightlyConfig, deaths: Path) -> list[Failure | None]:
    """Train on a worker that is killed: once when it has done so, then at each try."""
    run = RunContext(config.root, config.seed)

    def trained(model: str) -> Handle:
        settings = config.model_settings(model).model_dump(mode="json")
        inputs = inputs_of(model, tables, {}, {}, {})
        return train.submit(day.run, inputs, model=model, config=settings)[model]

    def evaluated(model: str, handle: Handle) -> Handle:
        return evaluate.submit(day.run, {**tables, "model": handle}, model=model)["per_user"]

    with chosen_runner(config) as joined, distributed.Client(joined.runner_address) as client:
        raw = ingest_files(config, run, acquire(run, config.source, config.scale))
        day = Day(run.at(resolve_cutoffs(run, raw["interactions"].ref, None, 7).as_of), raw)
        build_features((day,))
        tables = {name: Handle({name: ref}, name) for name, ref in found(day.tables).items()}
        survivor = trained("most_viewed")
        manifest = Path(survivor.ref.path, "manifest.json")
        written = manifest.stat().st_mtime_ns
        for pid in client.run(os.getpid).values():  # with it goes what it knows of its work
            os.kill(pid, signal.SIGKILL)
        figures = evaluated("most_viewed", survivor).ref
        known = client.run_on_scheduler(known_keys)
        client.register_plugin(DiesOfNewTasks(known, deaths))
        lost = trained("tags")
        after = evaluated("tags", lost)
        failures = [failure_of("training", "tags", lost), failure_of("test", "tags", after)]
    assert figures.rows
    assert manifest.stat().st_mtime_ns == written
    return failures


def test_a_lost_worker_costs_what_it_was_doing(roots: Path, tmp_path: Path) -> None:
    """Finished tasks are found in the store; one that kills its workers is given up in a line."""
    (roots / "threads").mkdir(exist_ok=True)
    models = {"models": ("most_viewed", "tags")}
    settings = {**SETTINGS, **models, "runner": "dask", "runner_workers": 1}
    deaths = tmp_path / "deaths"
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):  # 15 s, if loaded
        lost, skipped = among_killers(
            NightlyConfig(root=str(roots / "threads"), **settings), deaths
        )
    assert lost
    assert skipped
    assert "train was given up, as the workers that ran it ended (KilledWorker)" in lost.reason
    assert "run again" in lost.reason
    assert not lost.is_skipped
    assert skipped.is_skipped
    assert len(deaths.read_text().splitlines()) == TRIES
    assert len(set(deaths.read_text().splitlines())) == 1


def test_what_waits_for_a_worker_that_nobody_starts_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_cluster, "WITHOUT_WORKERS", "1 second")
    config = NightlyConfig(root=str(tmp_path), runner="dask", runner_workers=1)
    with local_cluster(config) as address, distributed.Client(address) as client:
        client.retire_workers()
        with pytest.raises(distributed.scheduler.NoWorkerError, match="without any running"):
            client.submit(os.getpid).result(timeout=60)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_scheduler_that_is_not_there_ends_the_night_before_any_work(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(RunnerError, match=f"no cluster answers at {address}.+leave runner_address"):
        nightly(root=str(tmp_path), runner="dask", runner_address=address, **SETTINGS)
    assert made(tmp_path) == {}


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.PACKAGES, "ray", "no_such_package")
    config = NightlyConfig(runner="ray")
    with pytest.raises(RunnerError, match=r"no-such-package.+-r deploy/ray.lock"):
        check_runner(config)


def test_workers_must_be_as_this_process(tmp_path: Path) -> None:
    """One of another checkout, and one that does not say what it holds."""
    for room in ("flows", "tasks", "schemas", "pyproject.toml"):
        copy = shutil.copytree if (PROJECT / room).is_dir() else shutil.copy
        copy(PROJECT / room, tmp_path / room)
    with (tmp_path / "tasks" / "__init__.py").open("a") as file:
        file.write("# another commit\n")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(RunnerError, match="no workers"):
            offers_at(address, str(tmp_path))
        for folder, refused in (
            (tmp_path, r"this project's code \w+ not \w+.+same checkout"),
            (PROJECT, r"--resources 'MEMORY="),
        ):
            with worker(address, folder), pytest.raises(RunnerError, match=refused):
                offers_at(address, str(tmp_path))


@contextmanager
def worker(address: str, folder: Path) -> Iterator[None]:
    """A worker of its own, started in a folder, until the block ends."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
    ours = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    process = subprocess.Popen([*command, "--no-dashboard"], cwd=folder, env=ours)
    try:
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1)
        yield
    finally:
        process.kill()
        process.wait()
