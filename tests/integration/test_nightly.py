"""The whole road on a small demo world: figures, caching, tracking, lists."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest

from schemas.artifacts import ArtifactRef, Snapshot
from schemas.errors import ProtocolError
from schemas.model_settings import MODEL_CONFIGS
from schemas.tables import CONTRACTS
from tasks.artifacts.manifest import from_text, reference
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext
from tasks.demo_world import write_demo_world
from tasks.evaluation.task import protocol_in
from tasks.metrics.holdout_metrics import LOG_ESTIMATORS
from tasks.promotion.model_card import LONGEST
from tasks.promotion.model_registry import Champion
from tasks.promotion.task import MEASURED, gate_metrics_again, gate_metrics_in
from tasks.reporting.summary import Summary
from tasks.serving.task import ChampionSource, build_top_n, load_catalogue
from tasks.tracking.names import FILES, TAGS, metrics
from tasks.training.task import load_model
from tests.integration.nights import Ran, night

MODELS = ("random", "most_viewed", "popularity", "als", "hybrid")
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
    assert second.states["publish-report"] == "Cached"
    assert first.summary.promotion.is_news
    assert second.summary == first.summary_again


def reference_of(folder: Path) -> ArtifactRef:
    return reference(from_text((folder / "manifest.json").read_bytes()), str(folder))


def on(day: object, *tasks: str) -> set[str]:
    return {f"{task}-{day}" for task in tasks}


PUBLISHING = ("track-runs", "monitor", "promote", "recommend-from-champion")


def comparing(summary: Summary) -> set[str]:
    """Tasks that put all models side by side."""
    made = ("build-leaderboard", "compare-models", "simulate-live-test")
    compared = on(summary.as_of, *made, *PUBLISHING)
    return compared | on(summary.offline_metric_audit.as_of, "audit-offline-metrics")


def test_another_model_leaves_the_others_alone(first: Ran, world: Path, root: Path) -> None:
    fewer = night(root, source=str(world), models=("random", "als"))
    assert fewer.computed <= comparing(first.summary)


def test_a_changed_parameter_reaches_only_its_model_and_the_blend(
    first: Ran, world: Path, root: Path
) -> None:
    tuned = night(root, source=str(world), models=MODELS, model_params={"als": {"iterations": 2}})
    day, backtest_day = first.summary.as_of, first.summary.offline_metric_audit.as_of
    assert tuned.computed <= {
        *comparing(first.summary),
        *on(day, "train-als", "train-hybrid", "evaluate-als", "evaluate-hybrid"),
        *on(day, "ablate-blend-hybrid"),
        *on(backtest_day, "train-als", "train-hybrid"),
        *on(backtest_day, "evaluate-holdout-als", "evaluate-holdout-hybrid"),
    }
    assert tuned.computed >= {
        *on(day, "build-leaderboard", "train-als", "train-hybrid", "evaluate-als", "track-runs"),
        *on(backtest_day, "train-als", "train-hybrid", "evaluate-holdout-als"),
    }


def test_damage_and_loss_are_made_good(first: Ran, world: Path, root: Path) -> None:
    summary = first.summary
    shutil.rmtree(summary.artifacts["eval_pairs"])
    model = Path(summary.models["als"].artifact) / "model.safetensors"
    damaged = bytearray(model.read_bytes())
    damaged[-1] ^= 1
    model.write_bytes(damaged)
    mended = night(root, source=str(world), models=MODELS)
    # Made again with the same bytes, they change nothing downstream
    assert mended.computed == on(summary.as_of, "build-eval-pairs", "train-als")
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
    day, backtest_day = first.summary.as_of, first.summary.offline_metric_audit.as_of
    # The blend reads the video table, if not its tags, and the diversity of lists is by tags. No
    # other model here looks at them, so none is trained again
    assert changed.computed == {
        *("ingest-video_tags", "count-coverage"),
        *on(day, "build-video-features", "build-id-index", "train-hybrid"),
        *on(day, "track-runs", "monitor", "promote"),
        *on(day, *(f"evaluate-{name}" for name in MODELS)),
        *on(backtest_day, "build-video-features", "build-id-index", "train-hybrid"),
    }


def test_the_verdict_is_whole(first: Ran) -> None:
    summary = first.summary
    hybrid = summary.models["hybrid"]
    components = set(MODELS) - {"hybrid"}
    assert set(summary.blends["hybrid"]) == components
    weights = [hybrid.fit_summary[f"weight_{name}"] for name in components]
    assert sum(weights) == pytest.approx(1)  # type: ignore[arg-type]
    assert str(hybrid.fit_summary["kind"]).removesuffix(" alone") in {
        *("linear", "stacked"),
        *components,
    }
    assert set(hybrid.baseline) >= {"popularity"}
    for name, model in summary.models.items():
        assert {"coverage", "novelty", "personalisation"} <= set(model.beyond_accuracy)
        for table, path in model.tables.items():
            frame = pl.read_parquet(f"{path}/data.parquet")
            CONTRACTS[table].validate(frame, lazy=True)
            assert table == "ablation" or frame["model"].unique().to_list() == [name]
    for table, path in summary.offline_metric_audit.tables.items():
        CONTRACTS[table].validate(pl.read_parquet(f"{path}/data.parquet"), lazy=True)
    # Nobody here was shown ten videos next, so that one estimator says nothing
    assert set(summary.offline_metric_audit.tau) == {f"log/{name}" for name in LOG_ESTIMATORS} - {
        "log/exposed_only"
    }
    assert summary.offline_metric_audit.as_of < summary.as_of


def test_nights_of_different_protocols_are_not_compared(
    first: Ran, world: Path, root: Path
) -> None:
    """An earlier night has another label, so another eval set: its figures cannot be compared."""
    backtest_day = night(root, source=str(world), models=("random",), as_of="2020-08-20").summary
    measured = {
        name: reference_of(Path(summary.models["random"].tables["per_user"]))
        for name, summary in (("tonight", first.summary), ("then", backtest_day))
    }
    with pytest.raises(ProtocolError, match="then differs from tonight in data"):
        protocol_in(measured)


def test_runs_in_mlflow_are_nested_and_comparable(first: Ran) -> None:
    client = mlflow.MlflowClient(first.summary.tracking_uri)
    parent = client.get_run(first.summary.mlflow_run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["grail.source"].startswith("demo")
    pictures = (
        "leaderboard",
        "ndcg_over_k",
        "comparisons",
        "slices",
        "live_test",
        "label_rank_inversions",
        "offline_metric_audit",
    )
    assert {*(f"{name}.png" for name in pictures), "ablation_hybrid.png", "leaderboard.json"} <= {
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
        assert {d.dataset.name for d in run.inputs.dataset_inputs} >= {"user_item", "eval_pairs"}
        names.append({name for name in run.data.metrics if name.endswith("_at_10")})
    assert all(metrics >= {"ndcg_at_10", "coverage_at_10", "novelty_at_10"} for metrics in names)


def undocumented(run: mlflow.entities.Run) -> list[str]:
    """Return tags and metrics that docs/ does not explain."""
    ours = [tag for tag in run.data.tags if not tag.startswith("mlflow.")]
    return [
        *(tag for tag in ours if not any(name.fits(tag) for name in TAGS)),
        *(m for m in run.data.metrics if not any(name.fits(m) for name in metrics())),
    ]


def test_mlflow_shows_what_every_run_is_and_ranks_only_models(first: Ran, root: Path) -> None:
    client = mlflow.MlflowClient(first.summary.tracking_uri)
    parent = client.get_run(first.summary.mlflow_run_id)
    nested = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert len(nested) == len(MODELS)
    for run in (parent, *nested):
        tags = run.data.tags
        assert str(first.summary.as_of) in tags["mlflow.note.content"]
        assert len(tags["mlflow.source.git.commit"]) == 40
        assert tags["grail.prefect_flow_run"] == first.flow_run_id
        assert all(name.startswith(("grail.", "mlflow.")) for name in tags)
        assert not [name for name in run.data.metrics if "/" in name]
        assert undocumented(run) == []
        assert ("ndcg_at_10" in run.data.metrics) == (run.info.run_id != parent.info.run_id)
    for name, model in first.summary.models.items():
        (output,) = client.get_run(model.mlflow_run_id).outputs.model_outputs
        logged = client.get_logged_model(output.model_id)
        assert (logged.name, logged.status) == (name, "READY")
        shown = {metric.key: metric.value for metric in logged.metrics}
        assert shown["ndcg_at_10"] == model.metrics["ndcg_at_10"].mean
        assert set(MODEL_CONFIGS[name].model_fields) <= set(logged.params)
        # The chosen one is packed, as it may be made champion; the others' files stay in the root
        assert (FILES in logged.tags) == (name != first.summary.promotion.model)
        assert str(root / logged.tags.get(FILES, model.artifact)) == model.artifact
    assert "scale" not in parent.data.params  # the files are a folder's
    assert parent.data.params["seed"] == "42"
    assert parent.data.metrics["test_users"] == first.summary.test_users
    assert parent.data.metrics["base_rate"] == first.summary.base_rate.mean


def test_the_board_is_one_row_a_model_best_first(first: Ran) -> None:
    mlflow.set_tracking_uri(first.summary.tracking_uri)
    board, figures = (
        pl.from_pandas(mlflow.load_table(file, [first.summary.mlflow_run_id]))
        for file in ("leaderboard.json", "leaderboard_of_all_labels.json")
    )
    assert sorted(board["model"]) == sorted(MODELS)
    assert board["ndcg_at_10"].to_list() == sorted(board["ndcg_at_10"], reverse=True)
    for row in board.iter_rows(named=True):
        model = first.summary.models[row["model"]]
        for figure in ("ndcg_at_10", "precision_at_20"):
            assert row[figure] == pytest.approx(model.metrics[figure].mean)
        assert row["ndcg_at_10_low"] == pytest.approx(model.metrics["ndcg_at_10"].low)
        assert row["coverage_at_10"] == pytest.approx(model.beyond_accuracy["coverage"].mean)
        assert row["seconds"] == pytest.approx(model.seconds)
    assert figures.height > board.height


def test_prefect_shows_what_was_measured_on_whom(first: Ran) -> None:
    by_key = first.artifacts
    assert {"leaderboard", "mlflow", "monitoring", "promotion"} <= by_key.keys()
    assert [key for key, artifact in by_key.items() if not artifact.description] == []
    board, summary = by_key["leaderboard"], first.summary
    assert board.description.startswith(
        f"{summary.source}, as of {summary.as_of}: {summary.test_users} test users of the block,"
        f" base rate {summary.base_rate.mean:.3f}."
    )
    rows = json.loads(board.data)
    assert [row["NDCG@10"] for row in rows] == sorted(
        (round(model.metrics["ndcg_at_10"].mean or 0, 3) for model in summary.models.values()),
        reverse=True,
    )
    assert quote(summary.mlflow_run_id) in by_key["mlflow"].data


def test_the_version_and_its_family_say_what_they_are(first: Ran) -> None:
    gate, client = first.summary.promotion, mlflow.MlflowClient(first.summary.tracking_uri)
    version = client.get_model_version(gate.registered_model, gate.version)
    card = version.description
    assert len(card) <= LONGEST
    for said in (
        f"# {gate.model}, as of {first.summary.as_of}",
        "The data is made up",
        *gate.reasons,
        "**Protocol**",
        "| NDCG@10 | ",
        "| base rate | ",
        "**Where it is weak**",
        "**Limits**",
    ):
        assert said in card
    assert "**Weights**" in card or gate.model != "hybrid"
    assert f"models:/{gate.registered_model}@champion" in (
        client.get_registered_model(gate.registered_model).description
    )


def test_the_nights_report_stands_alone_and_is_in_the_index(first: Ran, root: Path) -> None:
    summary = first.summary
    page = Path(summary.report).read_text()
    assert Path(summary.report).parent == root / "reports"
    for said in (*summary.models, "Since last night", "Drift and other checks", "Some lists"):
        assert said in page
    logged = {f"{name}.png" for name in ("leaderboard", "slices", "nights")}
    client = mlflow.MlflowClient(summary.tracking_uri)
    assert logged | {"report.html"} <= {
        f.path for f in client.list_artifacts(summary.mlflow_run_id)
    }
    assert page.count("data:image/png;base64,") >= len(logged)
    assert re.findall(r"(?:src|href)=\"(?!#|data:|index\.html)", page) == []
    assert Path(summary.report).name in (root / "reports" / "index.html").read_text()
    unexplained = re.findall(r"<button type=.button.>([^<]*)</button></th>", page)
    assert unexplained == []


def test_a_champion_measured_again_stands_as_it_was_measured(first: Ran, root: Path) -> None:
    """Tonight's models are read off tables, former ones are scored: the two must be the same."""
    summary, store = first.summary, Store(str(root))
    tables = {name: reference_of(Path(path)) for name, path in summary.artifacts.items()}
    challenger = summary.models[summary.promotion.model]
    model = load_model(store, reference_of(Path(challenger.artifact)))
    assert load_model(store, reference_of(Path(challenger.artifact))) is model  # held once
    former = Champion(
        "grail-demo", "1", challenger.mlflow_run_id, {}, model, load_catalogue(store, tables)
    )
    snapshot = Snapshot(as_of=summary.as_of, tables=tables)
    again = gate_metrics_again(snapshot, former, seed=42, root=str(root))
    measured = {name: reference_of(Path(challenger.tables[name])) for name in MEASURED}
    tonight = gate_metrics_in(store, measured)
    assert 0 < len(tonight.ndcg) <= summary.test_users  # some enjoyed nothing
    np.testing.assert_array_equal(again.ndcg, tonight.ndcg)
    assert again.coverage == tonight.coverage > 0
    assert again.slices.equals(tonight.slices.drop("model"))


def test_the_model_in_mlflow_answers_as_the_lists_say(first: Ran, root: Path) -> None:
    summary, store = first.summary, Store(str(root))
    mlflow.set_tracking_uri(summary.tracking_uri)
    challenger = summary.models[summary.promotion.model]
    (logged,) = mlflow.MlflowClient().get_run(challenger.mlflow_run_id).outputs.model_outputs
    served = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    # Whatever the gate says of it, as if it were champion
    tables = {name: reference_of(Path(path)) for name, path in summary.artifacts.items()}
    models = {name: reference_of(Path(model.artifact)) for name, model in summary.models.items()}
    known, own = Snapshot(as_of=summary.as_of, tables=tables, models=models), models["hybrid"]
    champion = ChampionSource(
        "hybrid",
        own.content,
        known.as_of,
        lambda: (load_model(store, own), load_catalogue(store, tables)),
    )
    inputs = {"champion": champion, "fallback_model": models["popularity"], **known.tables}
    settings = {"champion": "hybrid", "top_n": 5}
    run = RunContext(str(root), 42, known.as_of)
    refs, _ = build_top_n.build_or_reuse(run, build_top_n.chosen(inputs), settings)
    users = store.read(tables["user_index"])["user_id"][:3].to_list()
    expected = store.read(refs["top_n"]).filter(pl.col("user_id").is_in(users))
    answer = served.predict(
        pd.DataFrame({"user_id": np.array(users, dtype=np.int64)}), params={"n": 5}
    )
    assert answer["video_id"].to_list() == expected["video_id"].to_list()
    assert answer["model"].to_list() == expected["model"].to_list()
