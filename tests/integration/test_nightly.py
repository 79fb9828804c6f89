"""The whole road on a small demo world: figures, caching, tracking, lists."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest

from schemas.models import MODEL_CONFIGS
from schemas.tables import CONTRACTS
from tasks.sources.demo import write_demo_world
from tests.integration.nights import Ran, night

MODELS = ("random", "most_viewed", "popularity", "als")
pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_demo_world(folder, scale=0.05, seed=3)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def first(prefect_server: None, world: Path, root: Path) -> Ran:
    return night(root, source=str(world), models=MODELS)


def test_every_model_is_measured_between_random_and_oracle(first: Ran) -> None:
    summary = first.summary
    assert set(summary.models) == set(MODELS)
    assert summary.oracle["ndcg_at_10"].mean == pytest.approx(1)
    for model in summary.models.values():
        figure = model.metrics["ndcg_at_10"]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.mean is not None
        assert figure.low <= figure.mean <= figure.high < 1
        assert model.seconds >= 0
    base = summary.base_rate
    random = summary.models["random"].metrics["precision_at_10"]
    assert random.low <= base.mean <= random.high  # type: ignore[operator]


def test_a_demo_world_is_never_taken_for_real_data(first: Ran) -> None:
    assert first.summary.is_demo
    assert first.summary.source.startswith("demo")


def test_counts_of_every_file_balance(first: Ran) -> None:
    for counts in first.summary.counts.values():
        assert counts["read"] == sum(v for name, v in counts.items() if name != "read")
    assert first.summary.counts["interactions"]["duplicates_exact"] > 0
    assert first.summary.counts["interactions"]["duplicates_across_partitions"] > 0


def test_every_artifact_keeps_its_contract(first: Ran) -> None:
    for name, path in first.summary.artifacts.items():
        frame = pl.read_parquet(f"{path}/data.parquet")
        CONTRACTS[name].validate(frame, lazy=True)


def test_lists_hold_unseen_videos_best_first(first: Ran) -> None:
    lists = pl.read_parquet(first.summary.top_n)
    CONTRACTS["top_n"].validate(lists, lazy=True)
    log = pl.read_parquet(f"{first.summary.artifacts['interactions']}/data.parquet")
    assert lists.join(log, on=["user_id", "video_id"], how="semi").is_empty()
    assert lists["user_id"].n_unique() == first.summary.rows["user_features"]
    falls = lists.select((pl.col("score").diff() <= 0).over("user_id"))["score"].drop_nulls()
    assert falls.all()


def test_a_second_night_computes_nothing(first: Ran, world: Path, root: Path) -> None:
    second = night(root, source=str(world), models=MODELS)
    assert second.computed == set()
    assert second.summary == first.summary


def test_another_model_leaves_the_others_alone(first: Ran, world: Path, root: Path) -> None:
    fewer = night(root, source=str(world), models=("random", "als"))
    assert fewer.computed <= {"leaderboard", "track", "recommend"}


def test_a_changed_parameter_reaches_only_its_model(first: Ran, world: Path, root: Path) -> None:
    tuned = night(root, source=str(world), models=MODELS, model_params={"als": {"iterations": 2}})
    assert {"train-als", "evaluate-als", "leaderboard", "track"} <= tuned.computed
    assert tuned.computed <= {
        *("train-als", "evaluate-als", "leaderboard", "track"),
        "recommend",
    }


def test_damage_and_loss_are_made_good(first: Ran, world: Path, root: Path) -> None:
    summary = first.summary
    shutil.rmtree(summary.artifacts["cells"])
    model = Path(summary.models["als"].artifact) / "user_factors_.npy"
    damaged = bytearray(model.read_bytes())
    damaged[-1] ^= 1
    model.write_bytes(damaged)
    mended = night(root, source=str(world), models=MODELS)
    # Made again with the same bytes, they change nothing downstream
    assert mended.computed == {f"exam-{summary.as_of}", "train-als"}
    assert mended.summary.models["als"].metrics == summary.models["als"].metrics


def test_a_changed_byte_of_input_reaches_all_that_depends_on_it(
    first: Ran, world: Path, root: Path, tmp_path: Path
) -> None:
    other = tmp_path / "world"
    shutil.copytree(world, other)
    videos = other / "item_categories.csv"
    text = videos.read_text().splitlines()
    text[1] = f"{text[1].split(',')[0]},[30]" if not text[1].endswith("[30]") else "0,[29]"
    videos.write_text("\n".join(text) + "\n")
    changed = night(root, source=str(other), models=MODELS)
    expected = {
        "ingest-videos",
        f"video-features-{first.summary.as_of}",
        f"index-{first.summary.as_of}",
    }
    # No model here looks at tags, so none is trained again; but the source has another name
    assert changed.computed == expected | {"track"}


def test_runs_in_mlflow_are_nested_and_comparable(first: Ran) -> None:
    client = mlflow.MlflowClient(first.summary.tracking_uri)
    parent = client.get_run(first.summary.mlflow_run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["source"].startswith("demo")
    assert {"leaderboard.png", "ndcg_over_k.png", "leaderboard.json"} <= {
        file.path for file in client.list_artifacts(parent.info.run_id)
    }
    names = []
    for name, model in first.summary.models.items():
        run = client.get_run(model.mlflow_run_id)
        assert run.info.run_name == name
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.metrics["ndcg_at_10"] == model.metrics["ndcg_at_10"].mean
        assert set(MODEL_CONFIGS[name].model_fields) <= set(run.data.params)
        steps = {m.step for m in client.get_metric_history(run.info.run_id, "ndcg_over_k")}
        assert steps == {10, 20, 50, 100}
        assert {d.dataset.name for d in run.inputs.dataset_inputs} >= {"pairs", "cells"}
        names.append(set(run.data.metrics) - set(first.summary.models))
    assert all(metrics == names[0] for metrics in names)


def test_the_model_in_mlflow_answers_as_the_lists_say(first: Ran) -> None:
    mlflow.set_tracking_uri(first.summary.tracking_uri)
    client = mlflow.MlflowClient(first.summary.tracking_uri)
    best = first.summary.models[first.summary.order_by_tune_users[0]]
    (logged,) = client.get_run(best.mlflow_run_id).outputs.model_outputs
    served = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    lists = pl.read_parquet(first.summary.top_n).filter(model=first.summary.order_by_tune_users[0])
    users = lists["user_id"].unique().sort()[:3].to_list()
    answer = pl.from_pandas(
        served.predict(pd.DataFrame({"user_id": np.array(users, dtype=np.int64)}), params={"n": 5})
    )
    lists = lists.filter(pl.col("user_id").is_in(users), pl.col("rank") <= 5)
    assert answer["video_id"].to_list() == lists["video_id"].to_list()
