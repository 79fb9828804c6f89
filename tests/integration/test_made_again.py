"""A night that is made again is the same to the byte, and the same night to MLflow."""

from pathlib import Path
from typing import Any

import mlflow
import pytest

from schemas.artifacts import Manifest
from tasks.artifacts.manifest import from_text
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
SETTINGS: dict[str, Any] = {
    "source": "demo",
    "scale": 0.02,
    # the network too: a blend is no more the same than its components
    "model_params": {"two_tower": {"epochs": 2}, "hybrid": {"kind": "stacked"}},
}
COST = ("seconds", "peak_mib")
"""What differs by run: metadata of a manifest, and in no fingerprint."""


def manifests(root: Path) -> dict[str, Manifest]:
    """Return all there are, by their place under the root, without what they cost."""
    found = {}
    for file in root.glob("*/*/*/manifest.json"):
        manifest = from_text(file.read_bytes())
        kept = {name: fact for name, fact in manifest.metadata.items() if name not in COST}
        assert len(kept) == len(manifest.metadata) - len(COST)
        found[str(file.parent.relative_to(root))] = manifest.model_copy(update={"metadata": kept})
    return found


@pytest.fixture(scope="module")
def first(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    root = tmp_path_factory.mktemp("root")
    return night(root, **SETTINGS), root


@pytest.fixture(scope="module")
def again(first: tuple[Ran, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """The night on an empty root, in the MLflow of the first."""
    root = tmp_path_factory.mktemp("another")
    return night(root, tracking_uri=first[0].summary.tracking_uri, **SETTINGS), root


def test_every_artefact_is_what_it_was(first: tuple[Ran, Path], again: tuple[Ran, Path]) -> None:
    before, made = manifests(first[1]), manifests(again[1])
    assert len(made) > 60
    assert set(made) == set(before)
    assert {place for place in made if made[place] != before[place]} == set()


def test_it_is_logged_and_registered_once(first: tuple[Ran, Path], again: tuple[Ran, Path]) -> None:
    before, after = first[0].summary, again[0].summary
    assert after.mlflow_run_id == before.mlflow_run_id
    assert after.promotion == before.promotion.model_copy(update={"is_news": False})
    client = mlflow.MlflowClient(after.tracking_uri)
    assert len(client.search_model_versions(f"name = '{before.promotion.registered_model}'")) == 1
