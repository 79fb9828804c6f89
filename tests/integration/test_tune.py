"""Tuning: the real flow on a small world, its tries in MLflow, and the night that follows."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.tune import tune
from schemas.errors import TuningError
from schemas.paths import sqlite_address
from tasks.demo_world import write_demo_world
from tasks.features.eval_pairs import is_validation_users
from tasks.reporting.rendering import rendered
from tasks.reporting.tuning_summary import TuningSummary, tuning_report
from tasks.tracking.claims import PARENT
from tasks.tracking.names import TAGS, TRIAL, metrics
from tasks.tuning.plot_search import PLOTS
from tasks.tuning.tuned_settings import TunedSettings
from tests.integration.nights import night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]

TRIES = 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_demo_world(folder, scale=0.05, seed=3)
    return folder


def searched(world: Path, root: Path, trials: int) -> TuningSummary:
    return tune(source=str(world), root=str(root), model="tags", trials=trials)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def begun(world: Path, root: Path) -> tuple[TuningSummary, Mapping[str, Run]]:
    """A search that ended early, as one that was killed does; and its runs."""
    return searched(world, root, trials=2), runs_of(root)


@pytest.fixture(scope="module")
def whole(world: Path, root: Path, begun: object) -> TuningSummary:
    """The same search, gone on with."""
    return searched(world, root, trials=TRIES)


def runs_of(root: Path) -> dict[str, Run]:
    client = MlflowClient(sqlite_address(root / "mlflow.db"))
    experiments = [e.experiment_id for e in client.search_experiments()]
    return {run.info.run_id: run for run in client.search_runs(experiments)}


def test_a_search_goes_on_where_it_was(
    begun: tuple[TuningSummary, Mapping[str, Run]], whole: TuningSummary, root: Path
) -> None:
    earlier, runs = begun
    assert earlier.models["tags"].trials == 2
    assert whole.models["tags"].trials == TRIES
    assert whole.models["tags"].mlflow_run_id == earlier.models["tags"].mlflow_run_id
    assert runs.keys() < runs_of(root).keys()
    # A try is made once: each has its own scores, and none was made again
    assert len(list(root.glob("tuning/trial_scores/*/manifest.json"))) == TRIES


def test_each_try_is_a_run_in_the_searchs_own_run(whole: TuningSummary, root: Path) -> None:
    runs = runs_of(root)
    parent = runs.pop(whole.models["tags"].mlflow_run_id)
    assert {run.data.tags[PARENT] for run in runs.values()} == {parent.info.run_id}
    assert sorted(run.data.tags[TRIAL] for run in runs.values()) == [str(n) for n in range(TRIES)]
    assert {run.info.status for run in [parent, *runs.values()]} == {"FINISHED"}
    for run in runs.values():
        assert run.data.params.keys() == {"shrinkage", "popularity_weight"}
        assert 0 <= run.data.metrics["validation_ndcg_at_10"] <= 1
    assert parent.data.metrics["trials"] == TRIES
    client = MlflowClient(sqlite_address(root / "mlflow.db"))
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {*PLOTS, "comparison.json", "settings.json"}
    names = {name for run in (parent, *runs.values()) for name in run.data.metrics}
    assert [name for name in names if not any(known.fits(name) for known in metrics())] == []
    ours = {tag for tag in parent.data.tags if tag.startswith("grail.")}
    assert [tag for tag in ours if not any(known.fits(tag) for known in TAGS)] == []


def test_unchanged_it_adds_nothing(whole: TuningSummary, world: Path, root: Path) -> None:
    before = runs_of(root).keys()
    assert searched(world, root, trials=TRIES) == whole
    assert runs_of(root).keys() == before


def test_the_same_seed_finds_the_same(whole: TuningSummary, world: Path, tmp_path: Path) -> None:
    again = searched(world, tmp_path, trials=TRIES).models["tags"]
    ours = whole.models["tags"]
    assert again.settings == ours.settings
    assert again.figures == ours.figures


def test_those_who_chose_are_shown_beside_those_who_did_not(whole: TuningSummary) -> None:
    figures = {(one.settings, one.users): one for one in whole.models["tags"].figures}
    for settings in {settings for settings, _ in figures}:
        for users in ("validation", "test"):
            assert figures[settings, users].ndcg_at_10.low is not None
    assert whole.models["tags"].reason in rendered(tuning_report(whole))


def test_the_next_night_has_what_was_found(whole: TuningSummary, world: Path, root: Path) -> None:
    """Whatever this little world says of its tries: the settings kept here are of its last day."""
    (kept,) = (root / "tuned").glob("*/tags/2020-09-06.json")
    settings = {"shrinkage": 7.5, "popularity_weight": 0.1}
    found = TunedSettings.model_validate_json(kept.read_text())
    kept.write_text(found.model_copy(update={"settings": settings}).model_dump_json())
    models = ["popularity", "tags"]
    for given, shrinkage in (({}, "7.5"), ({"model_params": {"tags": {}}}, "50.0")):
        summary = night(root, source=str(world), models=models, **given).summary
        run = runs_of(root)[summary.models["tags"].mlflow_run_id]
        assert run.data.params["shrinkage"] == shrinkage


def test_without_validation_users_a_search_ends_in_one_line_and_a_blend_is_called_weaker(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in world.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    block = pl.read_csv(tmp_path / "small_matrix.csv", infer_schema=False, glob=False)
    is_test = [not is_validation_users(int(user)) for user in block["user_id"]]
    block.filter(pl.Series(is_test)).write_csv(tmp_path / "small_matrix.csv")
    with pytest.raises(TuningError, match=r"none of the block's 0 validation users"):
        searched(tmp_path, tmp_path / "root", trials=1)
    with caplog.at_level("WARNING", logger="tasks"):
        summary = night(
            tmp_path / "root", source=str(tmp_path), models=["most_viewed", "popularity", "hybrid"]
        ).summary
    assert summary.models["hybrid"].fit_summary["learned_from"] == "the log alone"
    said = {line for line in caplog.messages if line.startswith("hybrid has learned")}
    assert [line for line in said if "weights are weaker" in line] == list(said) != []
