"""One sweep that every model must pass; a new model is found by itself, through its config."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from schemas.errors import ModelError
from schemas.model_settings import MODEL_CONFIGS
from tasks.artifacts.parted_table import PartedTable
from tasks.models import base
from tasks.models.base import Recommender, Training
from tasks.models.lookup import recommender_class
from tests.synthetic_data import (
    ALL_ENJOYED,
    COLD,
    NEVER_ENJOYED,
    NO_HISTORY,
    NO_PROPERTIES,
    NO_TAGS,
    NOTHING_ENJOYED,
    ONE_VIEW,
    literal_world,
    small_world,
    with_components,
)

TABLES = ("user_item", "users", "videos", "friends")
BLENDED = {"components": {}, "backtest": None, "validation_pairs": PartedTable.of(pl.DataFrame())}
"""What nobody is given who does not use components."""
ODD_USERS = [ALL_ENJOYED, NOTHING_ENJOYED, ONE_VIEW, NO_HISTORY]
ODD_VIDEOS = [COLD, NO_TAGS, NO_PROPERTIES, NEVER_ENJOYED]

QUICK: dict[str, dict[str, Any]] = {"two_tower": {"dim": 4, "epochs": 2, "blocks": 2}}
"""Hyper-parameters for models whose defaults would be slow here."""

pytestmark = pytest.mark.parametrize("name", MODEL_CONFIGS)


def unfitted(name: str) -> Recommender[Any]:
    return recommender_class(name)(MODEL_CONFIGS[name](**QUICK.get(name, {})))


def files_of(folder: Path) -> list[Path]:
    """Return all that a model wrote, a blend's components with it."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def world() -> Training:
    return with_components(small_world())


@pytest.fixture(scope="module")
def everybody(world):
    return np.arange(world.shape[0])


@pytest.fixture(scope="module")
def fitted(world):
    """Return the model of a name, fitted on the world once for all tests."""
    models: dict[str, Recommender[Any]] = {}

    def of(name: str) -> Recommender[Any]:
        if name not in models:
            models[name] = unfitted(name).fit(world)
        return models[name]

    return of


def test_declares_what_it_uses_and_learns(name):
    model = recommender_class(name)
    assert model.required_tables <= {*TABLES, "components"}
    assert ("components" in model.required_tables) == MODEL_CONFIGS[name].is_blend
    assert all(attribute.endswith("_") for attribute in model.state_attributes)


def test_config_survives_json(name):
    config = unfitted(name).config
    assert type(config).model_validate_json(config.model_dump_json()) == config


def test_learns_nothing_before_fit(name):
    model = unfitted(name)
    assert set(vars(model)) == {"config"}
    assert not any(hasattr(model, attribute) for attribute in ("shape_", *model.state_attributes))


def test_unfitted_cannot_be_asked(name):
    with pytest.raises(ModelError, match=f"{name} is not fitted"):
        unfitted(name).score(np.array([0]))


def test_scores_are_float32_for_every_video(name, world, fitted, everybody):
    scores = fitted(name).score(everybody)
    assert scores.dtype == np.float32
    assert scores.shape == world.shape


def test_fit_forgets_and_repeats(name, world, fitted, everybody):
    other = with_components(small_world(seed=8))
    refitted = unfitted(name).fit(other).fit(world)
    np.testing.assert_array_equal(refitted.score(everybody), fitted(name).score(everybody))


def test_scoring_changes_nothing(name, fitted, everybody):
    first = fitted(name).score(everybody)
    expected = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(fitted(name).score(everybody), expected)


def test_learns_only_from_the_tables_it_uses(name, world, fitted, everybody):
    required_tables = recommender_class(name).required_tables
    nothing = {name: getattr(world, name).clear() for name in TABLES if name != "user_item"}
    nothing["user_item"] = PartedTable.of(world.user_item.read().clear())
    unused = {table: nothing[table] for table in TABLES if table not in required_tables}
    unused |= {} if "components" in required_tables else BLENDED
    scores = unfitted(name).fit(replace(world, **unused)).score(everybody)
    np.testing.assert_array_equal(scores, fitted(name).score(everybody))


def test_does_not_change_its_input(name, world, fitted, everybody):
    fitted(name).score(np.array([0]))
    untouched = with_components(small_world())
    for table in ("user_item", "validation_pairs"):
        assert_frame_equal(getattr(world, table).read(), getattr(untouched, table).read())
    for table in ("users", "videos", "friends"):
        assert_frame_equal(getattr(world, table), getattr(untouched, table))
    for table in ("users", "videos"):
        assert_frame_equal(getattr(world.backtest, table), getattr(untouched.backtest, table))
    assert_frame_equal(world.backtest.seen_next.read(), untouched.backtest.seen_next.read())
    for component, model in untouched.components.items():
        expected = model.score(everybody)
        np.testing.assert_array_equal(world.components[component].score(everybody), expected)
    np.testing.assert_array_equal(world.user_ids, untouched.user_ids)
    np.testing.assert_array_equal(world.video_ids, untouched.video_ids)


def test_a_chunk_of_users_scores_as_the_whole_does(name, fitted, everybody, monkeypatch):
    whole = fitted(name).score(everybody)
    for chunk in ([3], [20, 0, 5], [1, 1]):
        part = fitted(name).score(np.array(chunk))
        np.testing.assert_allclose(part, whole[chunk], rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(base, "USERS_AT_ONCE", 4)
    some = fitted(name).score_on(everybody[3:], np.array([7, 0]))
    np.testing.assert_allclose(some, whole[3:, [7, 0]], rtol=1e-5, atol=1e-6)


def test_nobody_asked_is_no_row(name, world, fitted):
    nobody = np.array([], dtype=np.int64)
    assert fitted(name).score(nobody).shape == (0, world.shape[1])


@pytest.mark.parametrize("index", [-1, NO_HISTORY + 1])
def test_unknown_user_is_an_error(name, fitted, index):
    with pytest.raises(ModelError, match=f"{name}: user index"):
        fitted(name).score(np.array([0, index]))


def test_is_silent_only_where_it_cannot_serve(name, world, fitted, everybody):
    scores = fitted(name).score(everybody)
    assert not np.isinf(scores).any()
    users = np.setdiff1d(everybody, ODD_USERS)
    if "friends" in recommender_class(name).required_tables:
        users = np.array([0, 1])  # friends of each other, and both saw every warm video
    videos = np.setdiff1d(np.arange(world.shape[1]), ODD_VIDEOS)
    assert np.isfinite(scores[np.ix_(users, videos)]).all()


def test_saved_and_loaded_is_the_same(name, fitted, everybody, tmp_path):
    model = fitted(name)
    model.save(tmp_path)
    assert {path.suffix for path in files_of(tmp_path)} <= {".json", ".safetensors", ".keras"}
    loaded = type(model).load(tmp_path)
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded.score(everybody), model.score(everybody))


def test_saved_twice_is_the_same_bytes(name, fitted, tmp_path):
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        folder.mkdir()
        fitted(name).save(folder)
    first, second = ([path.read_bytes() for path in files_of(folder)] for folder in folders)
    assert first == second


def test_a_broken_folder_cannot_be_loaded(name, fitted, tmp_path):
    model = fitted(name)
    with pytest.raises(ModelError, match=f"no whole {name} model"):
        type(model).load(tmp_path)
    model.save(tmp_path)
    for path in files_of(tmp_path):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelError, match=f"no whole {name} model"):
            type(model).load(tmp_path)
        path.unlink()
        with pytest.raises(ModelError, match=f"no whole {name} model"):
            type(model).load(tmp_path)
        path.write_bytes(whole)


def test_a_turned_bit_is_noticed_before_anything_is_asked(name, fitted, tmp_path):
    model = fitted(name)
    model.save(tmp_path)
    for number, path in enumerate(files_of(tmp_path)):
        whole = path.read_bytes()
        turned = bytearray(whole)
        turned[len(whole) * (1 + number % 3) // 4] ^= 1 << number % 8
        path.write_bytes(turned)
        with pytest.raises(ModelError, match=f"no whole {name} model.*{path.name} is damaged"):
            type(model).load(tmp_path)
        path.write_bytes(whole)


LEAN_WORLDS = {
    "one user": literal_world([(0, 0, 1), (0, 1, 0), (0, 2, 1)], (1, 3)),
    "one video": literal_world([(0, 0, 1), (1, 0, 0), (2, 0, 1)], (3, 1), friends=[(0, 1)]),
    "all enjoyed": literal_world([(u, v, 1) for u in range(3) for v in range(4)], (3, 5)),
    "nothing enjoyed": literal_world([(u, v, 0) for u in range(3) for v in range(4)], (3, 5)),
}


@pytest.mark.parametrize("lean", LEAN_WORLDS)
def test_a_lean_world_is_no_accident(name, lean):
    training = with_components(LEAN_WORLDS[lean])
    scores = unfitted(name).fit(training).score(np.arange(training.shape[0]))
    assert scores.shape == training.shape
    assert not np.isinf(scores).any()


def test_without_any_view_it_fits_or_says_why_not(name):
    model = unfitted(name)
    nothing = with_components(literal_world([], (2, 3)))
    try:
        model.fit(nothing)
    except ModelError:
        return  # a refusal with its reason is as good
    assert not np.isinf(model.score(np.arange(2))).any()


def test_file_and_config_belong_together(name):
    """Each file that defines a Recommender has a config of that name, and the other way round."""
    folder = Path(__file__).parents[2] / "tasks" / "models"
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).startswith("Recommender[") for base in node.bases)
    }
    assert name in found
    assert found == set(MODEL_CONFIGS)
