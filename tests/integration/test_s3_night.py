"""A whole night with its root on S3: the same tables as on a disk, and named as what they are."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient

from tasks.artifacts.backend import backend_of
from tasks.artifacts.manifest import MANIFEST, from_text
from tasks.artifacts.s3_backend import S3Backend
from tasks.artifacts.writer import DATA
from tests.integration.nights import Ran, night
from tests.integration.s3_server import SECRET, S3Server, s3_server

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
WORLD = {"scale": 0.02, "seed": 5, "models": ["random", "popularity"]}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server() as server, pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        environment.setenv("GRAIL_CACHE_DIR", str(tmp_path_factory.mktemp("one") / "cache"))
        yield server


@pytest.fixture(scope="module")
def root(s3: S3Server) -> str:
    return s3.new_root()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def first(prefect_server: str, root: str, address: str) -> Ran:
    return night(root, tracking_uri=address, **WORLD)


def contents_of(texts: Iterator[bytes]) -> dict[str, list[str]]:
    """Return the checksums of every artefact's files, by its place under the root."""
    made = [from_text(text) for text in texts]
    return {
        f"{one.stage}/{one.name}/{one.fingerprint}": sorted(e.sha256 for e in one.files.values())
        for one in made
    }


def test_it_makes_what_a_night_on_a_disk_makes(first: Ran, root: str, tmp_path: Path) -> None:
    night(tmp_path / "local", **WORLD)
    files = backend_of(root)
    assert isinstance(files, S3Backend)
    stored = [path for path in files._fs.find(root) if path.endswith(MANIFEST)]
    on_s3 = contents_of(files.read(path) for path in stored)
    on_disk = contents_of(path.read_bytes() for path in tmp_path.glob(f"local/*/*/*/{MANIFEST}"))
    assert on_s3 == on_disk
    assert len(on_s3) > 40


def test_its_summary_says_where_things_are(first: Ran, root: str) -> None:
    import s3fs

    with s3fs.S3FileSystem().open(first.summary.top_n) as lists:
        assert pl.read_parquet(lists).height > 0
    assert first.summary.artifacts["interactions"].startswith(f"{root}/ingest/interactions/")


def test_its_runs_name_its_tables_as_what_they_are(first: Ran, root: str, address: str) -> None:
    run = MlflowClient(address).get_run(first.summary.models["popularity"].mlflow_run_id)
    sources = {one.dataset.source_type for one in run.inputs.dataset_inputs}
    assert sources == {"s3"}
    (uri,) = {
        json.loads(one.dataset.source)["uri"]
        for one in run.inputs.dataset_inputs
        if one.dataset.name == "user_item"
    }
    assert uri.startswith(f"{root}/features/user_item/")
    assert run.info.artifact_uri.startswith(f"{root}/mlflow-artifacts/")
    assert SECRET not in str(run.to_dictionary())


def test_another_machine_makes_nothing_anew(
    first: Ran,
    s3: S3Server,
    root: str,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    s3.asked()
    second = night(root, tracking_uri=address, **WORLD)
    assert second.computed == set()
    assert second.summary == first.summary_again
    read = {path.split("/")[4] for method, path in s3.asked() if method == "GET" and DATA in path}
    assert "user_item" not in read
