"""Metrics of all models on the eval set: ours against trec_eval's, by pytrec_eval.

Both start from the same scores, of every model for every cell of the eval set, and give precision,
recall and NDCG at the same k for every user. Ties are broken beforehand, so that both rank alike.
"""

import time

import numpy as np
import polars as pl

from benchmarks.comparisons import Comparison, Goal, Runs, median_of
from benchmarks.ground import BenchmarkError, Ground
from benchmarks.measure import CHECK, Facts, Side, timed
from tasks.metrics.eval_set import EvalSet

PREPARE = "prepare"
NAMES = {"precision": "P", "recall": "recall", "ndcg": "ndcg_cut"}
"""Our metrics by trec_eval's name."""


def prepare(ground: Ground) -> Facts:
    """Score the eval set by all models; put places for scores: the best of m has m, then m - 1."""
    from tasks.metrics.ranking import rank

    eval_set = eval_set_of(ground)
    shape = eval_set.candidates.shape
    for name in ground.snapshot.models:
        scores = np.ascontiguousarray(
            ground.model(name).score(eval_set.user_idx)[:, eval_set.video_idx]
        )
        ranked = rank(scores, eval_set.candidates)
        placed = np.full(shape, np.nan, dtype=np.float32)
        rows, places = np.nonzero(ranked >= 0)
        placed[rows, ranked[rows, places]] = shape[1] - places
        np.save(ground.result(f"scores-{name}.npy"), placed, allow_pickle=False)
    return {"models": len(ground.snapshot.models), "compared_cells": int(eval_set.candidates.sum())}


def eval_set_of(ground: Ground) -> EvalSet:
    """Return the eval set of the first night."""
    return EvalSet.of(pl.read_parquet(f"{ground.snapshot.tables['eval_pairs'].path}/data.parquet"))


def scores_of(ground: Ground) -> dict[str, np.ndarray]:
    """Return what ``prepare`` left, by model."""
    files = {name: ground.result(f"scores-{name}.npy") for name in ground.snapshot.models}
    return {name: np.load(file, allow_pickle=False) for name, file in files.items()}


def ours(ground: Ground) -> Facts:
    """Rank and measure."""
    from tasks.metrics.accuracy import accuracy_at_k
    from tasks.metrics.ranking import rank

    eval_set, scores = eval_set_of(ground), scores_of(ground)
    with timed() as facts:
        figures = {}
        for name, of_model in scores.items():
            ranked = rank(of_model, eval_set.candidates, max(eval_set.ks))
            figures[name] = accuracy_at_k(
                ranked, eval_set.enjoyed, eval_set.ks, eval_set.candidates
            )
    values: Facts = {name: accuracy.values for name, accuracy in figures.items()}
    np.savez(ground.result("metrics-ours.npz"), **values)
    return facts | {"figures": sum(int(v.size) for v in values.values())}


def trec_eval(ground: Ground) -> Facts:
    """Lay scores and labels out as pytrec_eval wants them, and let it rank and measure."""
    import pytrec_eval

    eval_set, scores = eval_set_of(ground), scores_of(ground)
    cuts = ",".join(map(str, eval_set.ks))
    wanted = {f"{their_name}.{cuts}" for their_name in NAMES.values()}
    videos = [str(v) for v in range(len(eval_set.video_idx))]
    evaluating = 0.0
    values = {}
    with timed() as facts:
        qrels = {}
        for user, asked in enumerate(eval_set.candidates):
            labels = eval_set.enjoyed[user].tolist()
            qrels[str(user)] = {videos[v]: int(labels[v]) for v in np.flatnonzero(asked)}
        evaluator = pytrec_eval.RelevanceEvaluator(qrels, wanted)
        for name, of_model in scores.items():
            runs = {}
            for user, asked in enumerate(eval_set.candidates):
                own = of_model[user].tolist()
                listed = np.flatnonzero(asked & ~np.isnan(of_model[user]))
                runs[str(user)] = {videos[v]: own[v] for v in listed}
            begun = time.perf_counter()
            values[name] = evaluator.evaluate(runs)
            evaluating += time.perf_counter() - begun
    tables: Facts = {name: table_of(by_user, eval_set) for name, by_user in values.items()}
    np.savez(ground.result("metrics-trec.npz"), **tables)
    return facts | {"seconds_evaluating": evaluating}


def table_of(by_user: dict[str, dict[str, float]], eval_set: EvalSet) -> np.ndarray:
    """Return their figures in the order of ours; NaN for users whom trec_eval leaves out."""
    columns = [f"{their_name}_{k}" for their_name in NAMES.values() for k in eval_set.ks]
    table = np.full((len(eval_set.user_idx), len(columns)), np.nan)
    for user, figures in by_user.items():
        table[int(user)] = [figures[column] for column in columns]
    return table


def check(ground: Ground) -> Facts:
    """Compare every figure of ours; a user without a list, whom trec_eval leaves out, has 0."""
    largest, compared = 0.0, 0
    with (
        np.load(ground.result("metrics-ours.npz"), allow_pickle=False) as ours,
        np.load(ground.result("metrics-trec.npz"), allow_pickle=False) as theirs,
    ):
        for name in ours.files:
            is_defined = ~np.isnan(ours[name])
            difference = np.abs(ours[name] - np.nan_to_num(theirs[name]))[is_defined]
            largest = max(largest, float(difference.max(initial=0)))
            compared += int(is_defined.sum())
    if largest > 1e-9 or not compared:
        raise BenchmarkError(f"metrics: {compared} figures compared, they differ by {largest}")
    return {"figures": compared, "largest_difference": largest}


SIDES: dict[str, Side] = {PREPARE: prepare, "ours": ours, "trec_eval": trec_eval, CHECK: check}


def against_evaluate(ours: Runs, theirs: Runs) -> tuple[float, float]:
    """Return our seconds, and theirs without what it takes to lay the data out."""
    return median_of("seconds")(ours, ours)[0], median_of("seconds_evaluating")(theirs, theirs)[0]


COMPARISONS = (
    Comparison(
        "metrics of all models",
        "pytrec_eval, from the same scores",
        ours="ours",
        theirs=("trec_eval",),
        goal=Goal(least_faster=5),
    ),
    Comparison(
        "metrics of all models",
        "its evaluate() alone, dicts laid out before",
        ours="ours",
        theirs=("trec_eval",),
        values=against_evaluate,
    ),
)
