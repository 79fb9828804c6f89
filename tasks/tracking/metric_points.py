"""What MLflow's charts and columns compare: the figures of a night and of its models, as metrics.

All others are in the tables of the night's own run. No name has a slash: MLflow shows names that
have one in sections of their own, above everything else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import polars as pl
from mlflow.entities import Metric

from schemas.artifacts import EvaluationTables, Json
from tasks.evaluation.frames import EvaluationFrames, challenger_of
from tasks.metrics.labels import PRIMARY
from tasks.tracking.board import eval_set_figures

K = 10
"""Length of the lists that figures other than the primary ones are compared at."""

BEST = ("ndcg_at_10", "precision_at_10", "coverage_at_10")
"""Figures of the chosen model that the night's own run shows, for the course over the nights."""


def night_metrics(
    frames: EvaluationFrames, evaluation: EvaluationTables, board: pl.DataFrame
) -> list[Metric]:
    """What is compared from night to night: no name is a model's, or it would rank among them."""
    best = board.row(by_predicate=pl.col("model") == challenger_of(evaluation), named=True)
    figures = eval_set_figures(frames) | {f"best_{name}": best[name] for name in BEST}
    return [metric_point(name, value) for name, value in figures.items() if value is not None]


def model_metrics(
    frames: EvaluationFrames, evaluation: EvaluationTables, model: str, made: Json
) -> list[Metric]:
    """What a model's run shows: figures of the primary label, some beside them, and curves.

    ``made`` is what is known of the model's training: its cost, summary and curves.
    """
    board, holdout = (
        rows.filter(model=model).drop_nulls("mean") for rows in (frames.leaderboard, frames.holdout)
    )
    primary = board.filter(label=PRIMARY)
    rivals = frames.comparisons.filter(model=model, label=PRIMARY, metric="ndcg", k=K)
    lists = frames.beyond_accuracy.filter(model=model).drop_nulls("value")
    return [
        *_means(primary),
        *_ends(primary.filter(k=K)),
        *_by_label(board.filter(pl.col("label") != PRIMARY, metric="ndcg", k=K), ""),
        *_by_label(holdout.filter(metric="ndcg", k=K), "holdout_"),
        *_differences(rivals),
        *_beyond_accuracy(lists),
        *_scalars(evaluation.per_user[model].metadata, ("served_users", "served_cells")),
        *_scalars(made, ("seconds", "peak_mib")),
        *_learned(made),
        *_over_k(primary),
    ]


def _means(rows: pl.DataFrame) -> Iterator[Metric]:
    for metric, k, mean in rows.select("metric", "k", "mean").iter_rows():
        yield metric_point(f"{metric}_at_{k}", mean)


def _ends(rows: pl.DataFrame) -> Iterator[Metric]:
    """Yield the intervals of rows of a leaderboard."""
    for row in rows.drop_nulls("low").iter_rows(named=True):
        for end in ("low", "high"):
            yield metric_point(f"{row['metric']}_at_{row['k']}_{end}", row[end])


def _by_label(rows: pl.DataFrame, prefix: str) -> Iterator[Metric]:
    for name, k, label, mean in rows.select("metric", "k", "label", "mean").iter_rows():
        yield metric_point(f"{name}_at_{k}_{prefix}{label}", mean)


def _differences(rows: pl.DataFrame) -> Iterator[Metric]:
    for name, k, rival, value in rows.select("metric", "k", "baseline", "difference").iter_rows():
        yield metric_point(f"{name}_at_{k}_minus_{rival}", value)


def _beyond_accuracy(rows: pl.DataFrame) -> Iterator[Metric]:
    for measure, value in rows.select("measure", "value").iter_rows():
        yield metric_point(f"{measure}_at_{K}", value)


def _scalars(figures: Json, names: tuple[str, ...]) -> Iterator[Metric]:
    for name in names:
        yield metric_point(name, figures[name])


def _learned(made: Json) -> Iterator[Metric]:
    """Yield what a model says of its training, and what it learned over epochs, as steps."""
    for name, value in made["fit_summary"].items():
        if isinstance(value, int | float):
            yield metric_point(name, value)
    for name, values in made["curves"].items():
        for epoch, value in enumerate(values, start=1):
            yield metric_point(name, value, epoch)


def _over_k(rows: pl.DataFrame) -> Iterator[Metric]:
    """Yield the figures of the primary label over k, as steps."""
    for metric, k, mean in rows.select("metric", "k", "mean").iter_rows():
        yield metric_point(f"{metric}_over_k", mean, k)


def metric_point(name: str, value: float, step: int = 0) -> Metric:
    """Make a metric of now."""
    return Metric(name, float(value), int(time.time() * 1000), step)


def of_logged_model(points: Iterable[Metric], model_id: str) -> list[Metric]:
    """Return the metrics of a run as those of its logged model too, points of curves apart."""
    return [
        point if point.step else Metric(point.key, point.value, point.timestamp, 0, model_id)
        for point in points
    ]
