"""The backfill: nights of the past, each as the nightly flow would play it, and how models age."""

import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from mlflow import MlflowClient
from prefect import flow, get_run_logger, task

from flows.backfill import backfill
from flows.night_process import one_server, stand_alone
from flows.nightly import nightly
from flows.runners.process_pool import ProcessPool
from schemas.errors import ServerError
from schemas.retention_settings import CheckConfig, PruneConfig
from schemas.tables import CONTRACTS
from tasks.artifacts.run_references import RunReferences
from tasks.demo_world import write_demo_world
from tasks.reporting.backfill_summary import BackfillSummary, backfill_report
from tasks.reporting.rendering import rendered
from tasks.retention.check_task import checked_root
from tasks.retention.task import pruned
from tasks.tracking.names import BACKFILL
from tests.integration import forked

# Prefect, MLflow and what they import warn a lot
pytestmark = pytest.mark.filterwarnings("default")

PROJECT = Path(__file__).parents[2]
DAYS = [date(2020, 8, 27), date(2020, 8, 31), date(2020, 9, 4)]
WALK = {
    "from_day": DAYS[0],
    "to_day": DAYS[-1],
    "every_days": 4,
    "models": ["random", "popularity"],
    "workers": 1,  # as many as there is to do: a second one takes longer to start than its night
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_demo_world(folder, scale=0.05, seed=8)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def played(prefect_server: str, world: Path, root: Path) -> BackfillSummary:
    return backfill(source=str(world), root=str(root), **WALK)


def made(root: Path) -> Counter[str]:
    """The finished artefacts of a root, by stage and name, and how many there are of each."""
    # not below .staging, whose folders come and go while this looks
    manifests = root.glob("[!.]*/*/*/manifest.json")
    return Counter(str(m.parent.parent.relative_to(root)) for m in manifests)


def test_the_days_that_were_asked_for_are_played(played: BackfillSummary) -> None:
    assert [night.as_of for night in played.nights] == DAYS
    for night in played.nights:
        assert set(night.ndcg_at_10) == {"random", "popularity"}
        assert night.ndcg_at_10["popularity"].low is not None


def test_old_models_are_paired_with_new_ones(played: BackfillSummary) -> None:
    table = pl.read_parquet(f"{played.staleness_table}/data.parquet")
    CONTRACTS["staleness"].validate(table)
    block = table.filter(test_set="small_matrix", model="popularity")
    assert block["days_old"].to_list() == [0, 4, 8]
    assert block["days"].to_list() == [3, 2, 1]
    assert block.filter(days_old=0)["difference"].to_list() == [0.0]
    by_night = [night.ndcg_at_10["popularity"].mean for night in played.nights]
    (last,) = block.filter(days_old=8)["fresh"]
    assert last == pytest.approx(by_night[-1])


def test_the_text_has_every_night_and_every_age(played: BackfillSummary) -> None:
    text = rendered(backfill_report(played))
    assert all(str(day) in text for day in DAYS)
    assert all(f"\n{days:>8}  " in text for days in (0, 4, 8))
    assert max(map(len, text.splitlines()[: -1 - len(played.commands)])) <= 100


def test_mlflow_has_each_night_and_one_run_for_their_age(played: BackfillSummary) -> None:
    client = MlflowClient(played.tracking_uri)
    run = client.get_run(played.mlflow_run_id)
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "small_matrix_lost_ndcg_at_10_popularity")
    lost = {m.step: m.value for m in history}
    shown = {
        a.days_old: -(a.difference.mean or 0.0)
        for a in played.staleness
        if (a.model, a.test_set) == ("popularity", "small_matrix")
    }
    assert lost == pytest.approx(shown)
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"staleness.png", "staleness.json"} <= files
    as_of = [client.get_run(n.mlflow_run_id).data.tags["grail.as_of"] for n in played.nights]
    assert as_of == [str(day) for day in DAYS]


def test_nobody_is_crowned_by_the_past(played: BackfillSummary) -> None:
    assert list(MlflowClient(played.tracking_uri).search_registered_models()) == []


def test_a_second_time_nothing_is_computed_or_logged_again(
    played: BackfillSummary, world: Path, root: Path
) -> None:
    before = made(root)
    again = backfill(source=str(world), root=str(root), **WALK)
    assert again == played
    assert made(root) == before
    client = MlflowClient(played.tracking_uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "grail-demo"]
    runs = client.search_runs([experiment.experiment_id])
    assert Counter(BACKFILL in run.data.tags for run in runs) == {True: 1, False: 3 * 3}


def test_a_night_of_a_backfill_is_the_nightly_flows_own(
    played: BackfillSummary, world: Path, root: Path
) -> None:
    """NightResult by the nightly flow, only what a backfill leaves out is added."""
    before = made(root)
    night = nightly(source=str(world), root=str(root), as_of=DAYS[0], models=WALK["models"])
    assert made(root) - before == {"serving/top_n": 1, "monitoring/monitoring_checks": 1}
    assert night.mlflow_run_id == played.nights[0].mlflow_run_id


def test_all_of_it_is_whole_and_named_and_old_nights_can_go(
    played: BackfillSummary, root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    assert checked_root(CheckConfig(root=str(copy))).findings == []
    before = set(copy.rglob("data.parquet"))
    pruned(PruneConfig(root=str(copy), keep_nights=1, keep_days=0))
    assert checked_root(CheckConfig(root=str(copy))).findings == []
    left = set(copy.rglob("data.parquet"))
    assert left < before
    newest = played.nights[-1].mlflow_run_id
    nights = {night.mlflow_run_id for night in played.nights[:-1]}
    references = RunReferences(str(copy)).all()
    assert {newest, played.mlflow_run_id} <= references.keys()
    assert not nights & references.keys()  # none was the champion's
    assert Path(played.staleness_table.replace(str(root), str(copy))).is_dir()


def test_the_next_night_goes_on_to_the_end_of_the_log_and_there_does_nothing(
    played: BackfillSummary, world: Path, root: Path
) -> None:
    def play_next() -> Any:
        return nightly(source=str(world), root=str(root), as_of="next", models=["popularity"])

    assert [play_next().as_of for _ in range(2)] == [date(2020, 9, 5), date(2020, 9, 6)]
    client = MlflowClient(played.tracking_uri)
    (experiment,) = [e.experiment_id for e in client.search_experiments() if "grail" in e.name]
    runs, versions = len(client.search_runs([experiment])), len(client.search_model_versions())
    assert "the log ends on 2020-09-05, and the night as of 2020-09-06 was played" in play_next()
    assert len(client.search_runs([experiment])) == runs
    assert len(client.search_model_versions()) == versions


@pytest.mark.timeout(900)
def test_a_process_that_is_killed_costs_its_nights_and_the_next_run_goes_on(
    played: BackfillSummary, world: Path, root: Path, prefect_server: str, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    run = start(world, tmp_path, prefect_server, said)
    until(run, lambda: made(tmp_path)["features/user_item"] > 2)  # beyond the first night
    pool = {process.pid: process for process in players(run)}
    max(pool.values(), key=lambda process: process.memory_info().rss).kill()
    run.join(timeout=300)
    assert run.exitcode == 1
    lines = said.read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("python -m flows backfill:")]
    # Python notices the death of the pool's second process when the first gives its result: then
    # that night is whole. If the first one dies, both are lost.
    assert re.search(r": [12] of 3 nights failed \(2020-0(8-31|9-04): A process in the pro", line)
    assert line.endswith("run again to go on")

    run = start(world, tmp_path, prefect_server, said)
    until(run, lambda: players(run))
    pool = {process.pid: process for process in players(run)}
    run.kill()  # the first process alone: the others end by themselves
    run.join()
    assert psutil.wait_procs(pool.values(), timeout=60)[1] == []

    run = start(world, tmp_path, prefect_server, said)
    run.join(timeout=300)
    assert run.exitcode == 0, said.read_text()
    table = pl.read_parquet(next(tmp_path.glob("staleness/staleness/*/data.parquet")))
    assert table.equals(pl.read_parquet(f"{played.staleness_table}/data.parquet"))


@task
def speak() -> None:
    get_run_logger().info("a line of a pool's process")


@flow
def hear() -> None:
    speak.submit().wait()


@pytest.mark.parametrize(("initializer", "by_the_queue"), [(None, True), (stand_alone, False)])
def test_no_process_writes_to_the_queue_that_one_killed_would_leave_locked(
    prefect_server: str, initializer: Callable[[], None] | None, by_the_queue: bool
) -> None:
    """Prefect's own way is by the queue; a player that died in it let the backfill never end."""
    sent: list[tuple[str, object]] = []

    def overhear() -> Callable[[str, object], None]:
        return lambda kind, message: sent.append((kind, message))

    runner = ProcessPool(
        max_workers=1, initializer=initializer, subprocess_message_processor_factories=[overhear]
    )
    with one_server():
        hear.with_options(task_runner=runner)()
    assert bool(sent) is by_the_queue


@task
def leave() -> None:
    sys.exit(1)


@flow
def wait_for_one_that_leaves() -> None:
    leave.submit().wait()


def test_a_task_that_prefect_ends_its_process_for_is_not_waited_for_for_ever(
    prefect_server: str,
) -> None:
    """As it does where its server is away when the task is to begin."""
    runner = ProcessPool(max_workers=1, initializer=stand_alone)
    with one_server(), pytest.raises(ServerError, match="its process was ended: SystemExit: 1"):
        wait_for_one_that_leaves.with_options(task_runner=runner)()


def start(world: Path, root: Path, server: str, said: Path) -> BaseProcess:
    days = ["--from", str(DAYS[0]), "--to", str(DAYS[-1]), "--every-days", "4"]
    flags = [*days, "--models", "random,popularity", "--source", str(world), "--root", str(root)]
    return forked.start("backfill", *flags, server=server, said=said)


def players(run: BaseProcess) -> list[psutil.Process]:
    """The processes in which a backfill plays nights, and their helper."""
    children = psutil.Process(run.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def until(run: BaseProcess, is_so: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert run.is_alive(), "the run ended before it could be killed"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
