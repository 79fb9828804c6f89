"""A night whose files were lost is made again to the byte, and is the same night everywhere."""

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest

from schemas.artifacts import Manifest
from tasks.manifests import from_text
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
"""What differs by run: facts of a manifest, and in no fingerprint."""


def manifests(root: Path) -> dict[str, Manifest]:
    """Return all there are, by their place under the root, without what they cost."""
    found = {}
    for file in root.glob("*/*/*/manifest.json"):
        manifest = from_text(file.read_bytes())
        facts = {name: fact for name, fact in manifest.facts.items() if name not in COST}
        assert len(facts) == len(manifest.facts) - len(COST)
        found[str(file.parent.relative_to(root))] = manifest.model_copy(update={"facts": facts})
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def first(prefect_server: str, root: Path) -> tuple[Ran, dict[str, Manifest]]:
    ran = night(root, **SETTINGS)
    return ran, manifests(root)


@pytest.fixture(scope="module")
def again(first: tuple[Ran, dict[str, Manifest]], root: Path) -> Ran:
    """The night after all its artefacts were deleted: nothing but MLflow's files is there."""
    for folder in {root / place.split("/")[0] for place in first[1]}:
        shutil.rmtree(folder)
    assert not manifests(root)
    return night(root, **SETTINGS)


def test_every_artefact_is_what_it_was(
    first: tuple[Ran, dict[str, Manifest]], again: Ran, root: Path
) -> None:
    made = manifests(root)
    assert len(made) > 60
    assert set(made) == set(first[1])
    assert {place for place in made if made[place] != first[1][place]} == set()


def test_it_is_logged_and_registered_once(
    first: tuple[Ran, dict[str, Manifest]], again: Ran, root: Path
) -> None:
    assert {"train-two_tower", "train-hybrid"} <= {
        name.rsplit("-", 3)[0] for name in again.computed
    }
    before = first[0].summary
    assert again.summary.mlflow_run_id == before.mlflow_run_id
    assert again.summary.promotion == before.promotion.model_copy(update={"is_news": False})
    client = mlflow.MlflowClient(again.summary.tracking_uri)
    assert len(client.search_model_versions(f"name = '{before.promotion.registered_model}'")) == 1


def test_another_root_holds_the_same(
    first: tuple[Ran, dict[str, Manifest]], tmp_path: Path
) -> None:
    night(tmp_path, **SETTINGS)
    assert manifests(tmp_path) == first[1]
