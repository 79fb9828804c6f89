"""A model packed for serving, somewhere else: nothing of this project is there, and it answers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from schemas.list_rule_settings import ListRulesConfig
from schemas.model_settings import HybridConfig, TwoTowerConfig
from tasks.artifacts.code_fingerprint import PROJECT
from tasks.models.base import Recommender
from tasks.models.catalogue import FILE as CATALOGUE
from tasks.models.catalogue import Catalogue
from tasks.models.hybrid import Hybrid
from tasks.models.lookup import recommender_class
from tasks.serving.house_rules import Exclusions, rules_of
from tasks.serving.packed_model import PackedModel
from tasks.tracking.packaging import Packing
from tests.synthetic_data import small_world, with_components

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn a lot
LIGHT = ("random", "most_viewed", "popularity", "als", "content", "tags", "friends")
STRANGER = 999_999
EXCLUDED = slice(2, 4)
"""Users without a list and videos in none, by index: rules of the house travel with a model."""

ELSEWHERE = """
import json, sys
asked = json.load(sys.stdin)

class Filtered:
    '''Finds what is installed with the requirements alone.'''
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):  # what is installed is asked of finders too
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        missing = name.split('.')[0] in asked['missing']
        return None if missing else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Filtered, sys.meta_path)
import mlflow, pandas as pd
users = pd.DataFrame({'user_id': asked['users']})
models = {name: mlflow.pyfunc.load_model(folder) for name, folder in asked['models'].items()}
answers = {
    name: model.predict(users, params={'n': 5}).to_dict('records') for name, model in models.items()
}
if 'strangers' in asked:
    import polars as pl
    network = models['two_tower'].unwrap_python_model().packed.model
    answers = network.embed_users(pl.read_parquet(asked['strangers'])).tolist()
import schemas, tasks
assert schemas.WHOSE == tasks.WHOSE == 'a user'
files = [getattr(m, '__file__', None) or '' for m in sys.modules.values()]
assert not [f for f in files if f.startswith(asked['project']) and '/.venv/' not in f]
json.dump(answers, open(asked['out'], 'w'))
"""


@pytest.fixture(scope="module")
def models() -> dict[str, Recommender[Any]]:
    """Every model, fitted; the blend with the network inside, which counts for something."""
    world = with_components(small_world(), LIGHT)
    config = TwoTowerConfig(dim=4, epochs=1, blocks=2)
    fitted = {**world.components, "two_tower": recommender_class("two_tower")(config).fit(world)}
    held = {name: fitted[name] for name in ("popularity", "als", "two_tower")}
    blended = replace(world, components=held, backtest=replace(world.backtest, components=held))
    return {**fitted, "hybrid": Hybrid(HybridConfig(kind="stacked")).fit(blended)}


@pytest.fixture(scope="module")
def folders(
    models: dict[str, Recommender[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """The models as a night logs them, copied from MLflow to somewhere else."""
    place, world = tmp_path_factory.mktemp("mlflow"), small_world()
    mlflow.set_tracking_uri(f"sqlite:///{place / 'mlflow.db'}")
    made = MlflowClient().create_experiment("packed", artifact_location=(place / "of").as_uri())
    mlflow.set_experiment(experiment_id=made)
    ids = [
        pl.DataFrame({f"{kind}_id": ids})
        for kind, ids in (("user", world.user_ids), ("video", world.video_ids))
    ]
    catalogue = Catalogue.of(*ids, world.user_item)
    exclusions = Exclusions(world.user_ids[EXCLUDED], world.video_ids[EXCLUDED])
    one_each = ListRulesConfig(max_per_author=1)
    rules = rules_of(world.videos, date(2020, 9, 1), one_each, exclusions)
    packing = Packing.of(catalogue, tmp_path_factory.mktemp("scratch"), rules)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name, model in models.items():
        saved = tmp_path_factory.mktemp(name)
        model.save(saved)
        held = model.components_ if isinstance(model, Hybrid) else ()
        with mlflow.start_run() as run:
            packing.log_model(name, str(saved), components=held, has_example=False)
        (logged,) = MlflowClient().get_run(run.info.run_id).outputs.model_outputs
        location = MlflowClient().get_logged_model(logged.model_id).artifact_location
        shutil.copytree(location.removeprefix("file://"), elsewhere / name)
    yield {name: elsewhere / name for name in models}
    mlflow.set_tracking_uri(None)


def requirements(folder: Path) -> list[Requirement]:
    lines = (folder / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("-c ")]


def installed_with(needed: list[Requirement]) -> set[str]:
    """Return the distributions that pip would install, as far as they are here."""
    found: set[str] = set()
    waiting = [(need.name, extra) for need in needed for extra in ("", *need.extras)]
    seen = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        found.add(canonicalize_name(name))
        needs = [need for need in map(Requirement, lines) if applies(need, extra)]
        waiting += [(need.name, extra) for need in needs for extra in ("", *need.extras)]
    return found


def applies(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def ask(tmp_path: Path, folders: dict[str, Path], users: list[int], **asked: Any) -> Any:
    """Ask packed models in a process of their own, where a user has ``tasks`` and ``schemas``."""
    own = tmp_path / "packages_of_a_user"
    for name in ("tasks", "schemas"):
        (own / name).mkdir(parents=True)
        (own / name / "__init__.py").write_text("WHOSE = 'a user'\n")
    there = set.union(*(installed_with(requirements(folder)) for folder in folders.values()))
    missing = [
        name
        for name, distributions in packages_distributions().items()
        if not {canonicalize_name(each) for each in distributions} & there
    ]
    assert {"prefect", "implicit"} <= set(missing)
    question = {
        "models": {name: str(folder) for name, folder in folders.items()},
        "users": users,
        "missing": missing,
        "project": str(PROJECT),
        "out": str(tmp_path / "answers.json"),
        **asked,
    }
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=json.dumps(question),
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": str(own)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "answers.json").read_text())


def test_they_answer_elsewhere_as_they_do_here(folders, tmp_path):
    """All at once in one process, in which no code of one is taken for that of another."""
    world = small_world()
    users = [*world.user_ids.tolist(), STRANGER]
    answers = ask(tmp_path, folders, users)
    for name, folder in folders.items():
        (catalogue,) = (file.parent for file in folder.glob(f"artifacts/*/{CATALOGUE}"))
        (model,) = (file.parent for file in folder.glob("artifacts/*/config.json"))
        here = PackedModel.load(name, model, catalogue)
        expected = here.lists(np.array(users), 5, []).to_dicts()
        assert answers[name] == expected
        marks = {row["user_id"]: row["model"] for row in answers[name]}
        assert marks[STRANGER].endswith(" (fallback)")
        assert name in marks.values()
        assert not set(marks) & set(world.user_ids[EXCLUDED].tolist())
        listed = {row["video_id"] for row in answers[name]}
        assert not listed & set(world.video_ids[EXCLUDED].tolist())


def test_users_whom_the_network_never_saw_get_their_vectors_there(models, folders, tmp_path):
    users = small_world().users.head(3)
    users.write_parquet(tmp_path / "users.parquet")
    there = {"two_tower": folders["two_tower"]}
    vectors = ask(tmp_path, there, [STRANGER], strangers=str(tmp_path / "users.parquet"))
    expected = models["two_tower"].embed_users(users)  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.array(vectors, dtype=np.float32), expected, rtol=1e-5)


def test_requirements_are_few_and_exact(folders):
    for name, folder in folders.items():
        needed = requirements(folder)
        assert all(str(need.specifier).startswith("==") for need in needed)
        names = {need.name for need in needed}
        network = {"tensorflow", "tensorflow-cpu", "keras"}
        assert names & network == (network if name in {"two_tower", "hybrid"} else set())
        light = {"mlflow", "numpy", "pandas", "polars", "pydantic", "safetensors", "scipy"}
        assert names - network == light
        assert {path.name for path in (folder / "code").iterdir()} == {package_of(folder)}


def package_of(folder: Path) -> str:
    (package,) = (folder / "code").glob("grail_model_*")
    return package.name
