"""A root that was moved or copied: MLflow's database in it names its files where they are."""

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import DatasetInput

from schemas.errors import TrackingError
from schemas.tracked_settings import TrackedConfig
from tasks.tracking.moved_root import check_files
from tasks.tracking.night_run import reachable
from tests.unit.schemas.test_paths import NASTY


def logged(root: Path) -> str:
    """Log a run with a file, a dataset and a registered version into a root; return its id."""
    config = TrackedConfig(root=str(root))
    with reachable(config.tracking_address) as client:
        experiment = client.create_experiment("grail", artifact_location=config.artifact_location)
        run_id = str(client.create_run(experiment).info.run_id)
        client.log_text(run_id, "kept", "note.txt")
        table = MetaDataset(LocalArtifactDatasetSource(str(root / "user_item")), name="user_item")
        client.log_inputs(run_id, [DatasetInput(table._to_mlflow_entity(), [])])
        client.create_registered_model("grail")
        source = f"{client.get_run(run_id).info.artifact_uri}/model"
        client.create_model_version("grail", source=source, run_id=run_id)
    return run_id


def read(client: MlflowClient, run_id: str) -> str:
    """The text logged into a run, by way of the address that the database has of it.

    MLflow itself keeps in mind, as long as a process lives, where a run's files are.
    """
    folder = url2pathname(urlsplit(client.get_run(run_id).info.artifact_uri).path)
    return (Path(folder) / "note.txt").read_text()


@pytest.mark.parametrize("stays", [False, True], ids=["moved", "copied"])
def test_the_database_follows_its_root(
    stays: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = tmp_path / NASTY / "old", tmp_path / "new" / NASTY
    run_id = logged(old)
    new.parent.mkdir()
    if stays:
        shutil.copytree(old, new)
    else:
        old.rename(new)
    with (
        caplog.at_level(logging.WARNING, "tasks"),
        reachable(TrackedConfig(root=str(new)).tracking_address) as client,
    ):
        assert read(client, run_id) == "kept"
        experiment = client.get_run(run_id).info.experiment_id
        client.log_text(client.create_run(experiment).info.run_id, "new", "another.txt")
    assert caplog.messages == [f"{new} was moved here from {old}: MLflow's database follows"]
    assert [p.name for p in new.rglob("another.txt")] == ["another.txt"]
    assert not list(tmp_path.joinpath(NASTY).rglob("another.txt"))
    with closing(sqlite3.connect(new / "mlflow.db")) as base:
        text = "\n".join(base.iterdump())
    for name in (str(old), old.as_uri()):
        assert name.replace("'", "''") not in text
    with reachable(TrackedConfig(root=str(new)).tracking_address):
        assert len(caplog.messages) == 1


def test_files_that_were_never_here_are_left_where_they_are(tmp_path: Path) -> None:
    """A database may stand anywhere, also beside another one's files."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    run_id = logged(root)
    elsewhere.mkdir()
    (root / "mlflow.db").rename(elsewhere / "mlflow.db")
    (elsewhere / "mlflow-artifacts").mkdir()
    with reachable(f"sqlite:///{elsewhere}/mlflow.db") as client:
        assert read(client, run_id) == "kept"
        at = client.get_experiment_by_name("grail").artifact_location
    assert at == (root / "mlflow-artifacts").as_uri()


def test_files_that_are_gone_are_named_before_any_work(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "mlflow-artifacts"
    for place in (gone, gone / "3"):
        with pytest.raises(TrackingError, match=r"in .*/gone/mlflow-artifacts.*, and .*/gone is"):
            check_files("grail", place.as_uri(), "http://me:pa55@mlflow")
    gone.parent.mkdir()
    for place in (gone, gone / "3"):  # the folders are made with their first file
        check_files("grail", place.as_uri(), "http://mlflow")
    check_files("grail", "mlflow-artifacts:/3", "http://mlflow")
    check_files("grail", "s3://gone/3", "http://mlflow")
