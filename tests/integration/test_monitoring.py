"""Monitoring of two nights: an ordinary one, and one of broken files and changed users."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)

from flows.nightly import nightly
from schemas.errors import MonitoringAlertError
from schemas.tables import CONTRACTS
from tasks.alerts.channels import WEBHOOK
from tasks.demo_world import write_demo_world
from tasks.promotion.model_registry import CHAMPION, set_champion, version_at
from tasks.reporting.progress import progress_shown
from tasks.reporting.summary import Summary
from tasks.tracking.names import NIGHT
from tests.message_servers import Received, webhook_server

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
MODELS = ("random", "popularity", "als")
FAMILY = "grail-demo"


@dataclass(frozen=True)
class Watched:
    """A night that ended in a summary or an error, and what Prefect shows of it, by key."""

    result: Any
    notices: dict[str, Any]

    @property
    def watch(self) -> pl.DataFrame:
        """The table as the artifact has it."""
        return pl.DataFrame(self.notices["monitoring"], infer_schema_length=None)

    @property
    def past(self) -> set[tuple[str, str]]:
        return set(self.watch.filter("is_alert").select("measure", "slice_value").rows())


def run(root: Path, world: Path, **settings: Any) -> Watched:
    state = nightly(root=str(root), source=str(world), models=MODELS, return_state=True, **settings)
    return Watched(
        state.result(raise_on_failure=False), notices_of(state.state_details.flow_run_id)
    )


def notices_of(flow_run_id: Any) -> dict[str, Any]:
    """Artifacts of a flow run, their tables as Python's."""
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]),
        key=ArtifactFilterKey(exists_=True),
    )
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=wanted)
    return {
        str(artifact.key): json.loads(str(artifact.data))
        if artifact.type == "table"
        else artifact.data
        for artifact in artifacts
    }


def break_log(world: Path, broken: Path, backtest: date) -> None:
    """Lose two rows in three of the log, and triple the watch times from the backtest's day on."""
    broken.mkdir()
    for file in world.iterdir():
        (broken / file.name).symlink_to(file)
    (broken / "big_matrix.csv").unlink()
    log = pl.read_csv(world / "big_matrix.csv", infer_schema=False).gather_every(3)
    is_late = pl.col("date") >= backtest.strftime("%Y%m%d")
    played, length = (pl.col(f"{kind}_duration").cast(pl.Int64) for kind in ("play", "video"))
    tripled = log.with_columns(
        play_duration=pl.when(is_late).then(3 * played).otherwise(played)
    ).with_columns(watch_ratio=pl.col("play_duration") / length)
    tripled.write_csv(broken / "big_matrix.csv")


@pytest.fixture(scope="module", autouse=True)
def heard() -> Iterator[Received]:
    """A webhook that the nights here tell of what is not well."""
    with webhook_server() as received, pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEBHOOK, received.webhook)
        yield received


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def first(prefect_server: str, folder: Path) -> Watched:
    (folder / "world").mkdir()
    write_demo_world(folder / "world", scale=0.05, seed=6)
    return run(folder / "root", folder / "world", fail_on_alert=False)


@pytest.fixture(scope="module")
def client(first: Watched) -> MlflowClient:
    return MlflowClient(first.result.tracking_uri)


@pytest.fixture(scope="module")
def second(first: Watched, folder: Path, client: MlflowClient) -> Watched:
    summary: Summary = first.result
    set_champion(client, FAMILY, summary.promotion.version)  # whatever its eval set said
    break_log(folder / "world", folder / "broken", summary.offline_metric_audit.as_of)
    settings = {"as_of": summary.as_of, "fail_on_alert": True}
    return run(folder / "root", folder / "broken", **settings)


def test_an_ordinary_first_night_is_past_no_threshold_but_that_of_cold_videos(
    first: Watched,
) -> None:
    # None of these models can serve a video that nobody has seen
    assert first.past <= {("unserved_share", "videos")}
    assert set(first.watch["measure"]) == {"reject_share", "rows", "psi", "unserved_share"}
    assert first.watch["reference"].is_null().all()


def test_the_table_keeps_its_contract_and_is_what_people_see(first: Watched, folder: Path) -> None:
    (file,) = (folder / "root" / "monitoring" / "monitoring_checks").glob("*/data.parquet")
    table = CONTRACTS["monitoring_checks"].validate(pl.read_parquet(file), lazy=True)
    key = ["measure", "slice_value"]
    shown = first.watch.sort(key).select("value", "description").rows()
    assert shown == table.sort(key).select("value", "description").rows()
    kept = table.filter(measure="rows", slice_value="interactions/kept")["value"].item()
    assert kept == first.result.counts["interactions"]["kept"]


def test_the_readings_are_metrics_of_the_night(first: Watched, client: MlflowClient) -> None:
    metrics = client.get_run(first.result.mlflow_run_id).data.metrics
    for measure, part, value in first.watch.select("measure", "slice_value", "value").rows():
        assert metrics[f"monitoring.{measure}.{part.replace('/', '.')}"] == pytest.approx(value)


def test_every_notice_is_there(first: Watched) -> None:
    notices = {"leaderboard", "live-test", "mlflow", "monitoring", "promotion", "report"}
    assert set(first.notices) == notices
    tests = first.notices["live-test"]
    assert {row["baseline"] for row in tests} == set(first.result.smallest_live_test)
    board = pl.DataFrame(first.notices["leaderboard"])
    assert set(board["model"]) == set(MODELS)
    for row in board.iter_rows(named=True):
        model = first.result.models[row["model"]]
        assert row["NDCG@10"] == round(model.metrics["ndcg_at_10"].mean, 3)
        assert row["P@10"] == round(model.metrics["precision_at_10"].mean, 3)
    assert board["NDCG@10"].is_sorted(descending=True)
    assert first.result.promotion.reasons[0] in first.notices["promotion"]
    assert first.result.mlflow_run_id in first.notices["mlflow"]


def test_who_asked_hears_once_of_what_is_not_well(second: Watched, heard: Received) -> None:
    del second  # it has ended
    of_second = [m for m in heard.messages if "MonitoringAlertError" in m["text"]]
    assert [message["kind"] for message in of_second] == ["check past its threshold"]
    assert "failed night" not in {message["kind"] for message in heard.messages}
    texts = [message["text"] for message in heard.messages]
    assert len(set(texts)) == len(texts)


def test_a_broken_night_is_past_the_thresholds_and_ends(second: Watched) -> None:
    assert isinstance(second.result, MonitoringAlertError)
    assert second.past >= {
        *(("rows", f"interactions/{count}") for count in ("read", "kept")),
        ("psi", "watch_ratio"),
    }
    assert ("rows", "users/read") not in second.past
    for said in ("interactions/kept", "-67%", "--max-row-change 0.5", "psi of watch_ratio"):
        assert said in str(second.result)
    first_rows = second.watch["is_alert"].head(len(second.past))
    assert first_rows.all()


def test_it_is_compared_with_the_night_before(first: Watched, second: Watched) -> None:
    both = second.watch.join(first.watch, on=["measure", "slice_value"], suffix="_before")
    assert both["reference"].to_list() == pytest.approx(both["value_before"].to_list())
    age = second.watch.filter(measure="champion_age_days")
    assert age["value"].to_list() == [0]


def test_a_stopped_night_is_logged_and_leaves_the_champion(
    first: Watched, second: Watched, client: MlflowClient
) -> None:
    assert set(second.notices) == {"leaderboard", "live-test", "mlflow", "monitoring"}
    champion = version_at(client, FAMILY, CHAMPION)
    assert champion is not None
    assert str(champion.version) == first.result.promotion.version
    (version,) = client.search_model_versions(f"name = '{FAMILY}'")
    night = client.get_run(first.result.mlflow_run_id).data.tags[NIGHT]
    assert version.tags[NIGHT] == night


def test_a_night_run_again_is_watched_against_what_it_met_then(
    first: Watched, second: Watched, folder: Path
) -> None:
    again = run(folder / "root", folder / "world", fail_on_alert=False)
    assert again.notices["monitoring"] == first.notices["monitoring"]


def test_logged_progress_is_shown() -> None:
    @flow
    def working() -> None:
        log = logging.getLogger("tasks.sources")
        with progress_shown("some-work", "Parts of the work"):
            for share in (0.25, 0.75):
                log.info("part of the work", extra={"progress": share})
        log.info("after the block", extra={"progress": 0.5})

    state = working(return_state=True)
    assert notices_of(state.state_details.flow_run_id) == {"some-work": 100}
