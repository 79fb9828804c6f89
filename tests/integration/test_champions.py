"""The registry of champions on a real MLflow: versions, aliases, rollback, and loading one back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient

from flows.commands.cli import parse_cli
from schemas.errors import ConfigError, ModelError
from schemas.model_settings import HybridConfig, TwoTowerConfig
from schemas.settings import RollbackConfig
from tasks.artifacts.code_fingerprint import PROJECT
from tasks.models.als import ALS
from tasks.models.base import Recommender, Training
from tasks.models.catalogue import FILE as CATALOGUE
from tasks.models.catalogue import Catalogue
from tasks.models.hybrid import Hybrid
from tasks.models.lookup import recommender_class
from tasks.models.popularity import Popularity
from tasks.promotion.model_registry import (
    CHAMPION,
    PREVIOUS,
    WAS_CHAMPION,
    champion,
    register,
    registered,
    roll_back,
    set_champion,
    version_at,
)
from tasks.tracking.names import NIGHT
from tasks.tracking.packaging import Packing
from tests.synthetic_data import small_world, with_components

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn a lot
NAME = "grail-test"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{folder / 'mlflow.db'}")
    location = (folder / "artifacts").as_uri()
    mlflow.set_experiment(
        experiment_id=MlflowClient().create_experiment(NAME, artifact_location=location)
    )
    yield f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.fixture
def client(address: str) -> Iterator[MlflowClient]:
    client = MlflowClient(address, address)  # nights before may have set another registry
    yield client
    for version in client.search_model_versions(f"name = '{NAME}'"):
        client.delete_model_version(NAME, version.version)
    if client.search_registered_models(f"name = '{NAME}'"):
        client.delete_registered_model(NAME)


@pytest.fixture(scope="module")
def run_ids(address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Log little models in the way a night does; return their runs by name."""
    world, ids = small_world(), {}
    index = [
        pl.DataFrame({f"{kind}_id": ids})
        for kind, ids in (("user", world.user_ids), ("video", world.video_ids))
    ]
    for model in (Popularity().fit(world), ALS().fit(world), blend(world)):
        folder, scratch = (tmp_path_factory.mktemp(model.name) for _ in range(2))
        model.save(folder)
        packing = Packing.of(Catalogue.of(*index, world.user_item), scratch)
        held = model.components_ if isinstance(model, Hybrid) else ()
        with mlflow.start_run(run_name=model.name) as run:
            packing.log_model(model.name, str(folder), components=held, has_example=False)
        ids[model.name] = run.info.run_id
    return ids


def blend(world: Training) -> Recommender[Any]:
    """Fit a hybrid that holds every kind of file, a network too."""
    components = {
        name: recommender_class(name)(config).fit(world)
        for name, config in (
            *((name, None) for name in ("popularity", "als", "content", "tags", "friends")),
            ("two_tower", TwoTowerConfig(dim=4, epochs=1, blocks=2)),
        )
    }
    backtest = replace(with_components(world).backtest, components=components)
    blended = replace(with_components(world), components=components, backtest=backtest)
    return Hybrid(HybridConfig(kind="stacked")).fit(blended)


def add(client: MlflowClient, run_ids: dict[str, str], model: str, night: str) -> str:
    tags = {NIGHT: night, "grail.model": model, "grail.as_of": "2020-09-01"}
    return str(register(client, NAME, run_ids[model], tags, "because", "a family").version)


def at(client: MlflowClient, alias: str) -> str | None:
    version = version_at(client, NAME, alias)
    return None if version is None else str(version.version)


def test_without_a_registry_there_is_no_champion(client: MlflowClient) -> None:
    assert at(client, CHAMPION) is None
    assert champion(client, NAME) is None
    with pytest.raises(ConfigError, match="no previous champion"):
        roll_back(client, NAME)


def test_a_crowned_version_is_champion_and_the_former_one_is_kept(
    client: MlflowClient, run_ids: dict[str, str]
) -> None:
    first, second = (add(client, run_ids, m, f"night {m}") for m in ("popularity", "als"))
    set_champion(client, NAME, first)
    assert (at(client, CHAMPION), at(client, PREVIOUS)) == (first, None)
    set_champion(client, NAME, second)
    assert (at(client, CHAMPION), at(client, PREVIOUS)) == (second, first)
    set_champion(client, NAME, second)  # as a run does that was killed before it could note it
    assert (at(client, CHAMPION), at(client, PREVIOUS)) == (second, first)
    assert client.get_model_version(NAME, second).tags[WAS_CHAMPION] == "yes"


def test_a_champion_of_an_earlier_version_of_the_project_counts_as_none(
    client: MlflowClient, run_ids: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    tags = {NIGHT: "night", "grail.model": "als", "as_of": "2020-09-01"}
    set_champion(client, NAME, str(register(client, NAME, run_ids["als"], tags, "", "").version))
    assert champion(client, NAME) is None
    (said,) = [message for message in caplog.messages if "earlier version" in message]
    assert "counts as none" in said
    newer = add(client, run_ids, "popularity", "night popularity")
    set_champion(client, NAME, newer)
    assert at(client, CHAMPION) == newer


def test_rollback_is_one_command_and_a_second_one_takes_it_back(
    client: MlflowClient, run_ids: dict[str, str], address: str
) -> None:
    first, second = (add(client, run_ids, m, f"night {m}") for m in ("popularity", "als"))
    for version in (first, second):
        set_champion(client, NAME, version)
    command = [sys.executable, "-m", "flows", "rollback", "--registered-model", NAME]
    done = subprocess.run(
        [*command, "--tracking-uri", address], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"version {first} is the champion again, {second} is kept" in done.stdout
    assert (at(client, CHAMPION), at(client, PREVIOUS)) == (first, second)
    assert roll_back(client, NAME) == (first, second)
    assert at(client, CHAMPION) == second


def test_rollback_without_a_previous_champion_says_so(
    client: MlflowClient, run_ids: dict[str, str], address: str
) -> None:
    set_champion(client, NAME, add(client, run_ids, "als", "night"))
    command = [sys.executable, "-m", "flows", "rollback", "--registered-model", NAME]
    done = subprocess.run(
        [*command, "--tracking-uri", address], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "has no previous champion to go back to" in done.stderr


def test_a_night_finds_the_version_it_has_registered(
    client: MlflowClient, run_ids: dict[str, str]
) -> None:
    assert registered(client, NAME, "tonight") is None
    version = add(client, run_ids, "als", "tonight")
    found = registered(client, NAME, "tonight")
    assert found is not None
    assert str(found.version) == version
    assert found.description == "because"
    assert registered(client, NAME, "another night") is None


def test_a_champion_answers_as_the_model_that_was_logged(
    client: MlflowClient, run_ids: dict[str, str]
) -> None:
    set_champion(client, NAME, add(client, run_ids, "als", "night"))
    world = small_world()
    expected = ALS().fit(world).score(np.arange(5))
    found = champion(client, NAME)
    assert found is not None
    np.testing.assert_array_equal(found.model.score(np.arange(5)), expected)
    np.testing.assert_array_equal(found.catalogue.video_ids, world.video_ids)


# --- damage ------------------------------------------------------------------------------------

PLACES = (0.0, 0.3, 0.6, 0.999)
"""Where in each file a bit is turned, as a share of its length."""


def artifacts_of(client: MlflowClient, run_id: str) -> Path:
    """The folder of what was logged with a model, as it lies on the disk."""
    (logged,) = client.get_run(run_id).outputs.model_outputs
    location = client.get_logged_model(logged.model_id).artifact_location
    return Path(location.removeprefix("file://")) / "artifacts"


def turned(folder: Path) -> Iterator[str]:
    """Turn one bit of one file after the other and back again; say which."""
    for number, file in enumerate(sorted(f for f in folder.rglob("*") if f.is_file())):
        whole = file.read_bytes()
        for place in PLACES:
            damaged = bytearray(whole)
            damaged[int(place * len(whole))] ^= 1 << (number + int(10 * place)) % 8
            file.write_bytes(damaged)
            yield f"{file.relative_to(folder)} at {place}"
        file.write_bytes(whole)


def test_a_turned_bit_anywhere_is_noticed_before_the_champion_answers(
    client: MlflowClient, run_ids: dict[str, str]
) -> None:
    from tasks.tracking.pyfunc_model import ServedModel  # importing it warns

    set_champion(client, NAME, add(client, run_ids, "hybrid", "night"))
    folder = artifacts_of(client, run_ids["hybrid"])
    assert {file.name for file in folder.rglob("*")} >= {"network.keras", "stacked.safetensors"}
    # MLflow names the folders of artefacts as they were called where they were logged from
    held = {"catalogue" if (at / CATALOGUE).exists() else "model": at for at in folder.iterdir()}
    paths = {part: str(at) for part, at in held.items()}
    served, packed = (
        ServedModel(),
        SimpleNamespace(artifacts=paths, model_config={"model": "hybrid"}),
    )
    found = champion(client, NAME)
    assert found is not None
    for damage in turned(folder):
        with pytest.raises(ModelError) as refused:
            champion(client, NAME)
        file = damage.split(" at ")[0].split("/")[-1]
        assert f"{file} " in str(refused.value), damage
        assert f"flows rollback --registered-model {NAME} goes back" in str(refused.value)
        assert "\n" not in str(refused.value)
        with pytest.raises(ModelError, match=r"no whole (hybrid model|catalogue) in"):
            served.load_context(packed)
    served.load_context(packed)
    np.testing.assert_array_equal(served.packed.model.score([0]), found.model.score([0]))


def test_lost_files_are_noticed_too(client: MlflowClient, run_ids: dict[str, str]) -> None:
    set_champion(client, NAME, add(client, run_ids, "als", "night"))
    folder = artifacts_of(client, run_ids["als"])
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        file.rename(folder.parent / "away")
        with pytest.raises(ModelError, match="is not as it was logged"):
            champion(client, NAME)
        (folder.parent / "away").rename(file)
    assert champion(client, NAME) is not None


def test_a_kill_while_promoting_leaves_a_whole_champion(
    client: MlflowClient, run_ids: dict[str, str], address: str
) -> None:
    """Killed after each of its requests in turn: champion is the old or the new one, never none."""
    first = add(client, run_ids, "popularity", "first")
    set_champion(client, NAME, first)
    for requests in (1, 2, 3):
        second = add(client, run_ids, "als", f"night {requests}")
        script = (
            "import os, signal, sys\n"
            "from mlflow import MlflowClient\n"
            "from tasks.promotion import model_registry as champions\n"
            f"left = {requests}\n"
            "def dying(call):\n"
            "    def answer(self, *args):\n"
            "        global left\n"
            "        call(self, *args)\n"
            "        left -= 1\n"
            f"        left or os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
            "    return answer\n"
            "for name in ('set_registered_model_alias', 'set_model_version_tag'):\n"
            "    setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))\n"
            f"champions.set_champion(MlflowClient({address!r}), {NAME!r}, {second!r})\n"
        )
        killed = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=os.environ)
        assert killed.returncode == -signal.SIGKILL
        assert at(client, CHAMPION) == (first if requests == 1 else second)
        set_champion(client, NAME, second)
        assert at(client, CHAMPION) == second
        set_champion(client, NAME, first)


def test_rollback_flags_have_defaults() -> None:
    assert parse_cli(RollbackConfig, "rollback", []).registered_model is None
    assert not parse_cli(RollbackConfig, "rollback", []).retire
    assert Path(parse_cli(RollbackConfig, "rollback", []).tracking_address).name == "mlflow.db"
