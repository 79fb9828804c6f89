"""Evaluation: one task a model on the fully observed block, then all models side by side."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock

import numpy as np
import polars as pl

from schemas.artifacts import ArtifactRef
from schemas.model_settings import MODEL_CONFIGS
from schemas.protocol import Protocol, require_same
from schemas.tables import CONTRACTS
from tasks.artifacts.code_fingerprint import code_version_of
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import table_task
from tasks.evaluation.ablation import ablation_of
from tasks.metrics.ab_test import LONGEST, share_rows, shares_by_visits
from tasks.metrics.diagnose import diagnose
from tasks.metrics.eval_protocol import eval_protocol
from tasks.metrics.eval_set import ORACLE, EvalSet, measure, oracle_and_base_rate
from tasks.metrics.labels import LABELS, PRIMARY
from tasks.metrics.leaderboard import leaderboard_of, order_models
from tasks.metrics.model_choice import choose_model
from tasks.metrics.notebook_reference import notebook_rows, whom_to_show
from tasks.metrics.paired_differences import comparisons_of
from tasks.metrics.rank_correlation_tables import boards_by_label, rank_correlations_of
from tasks.metrics.ranking import rank
from tasks.metrics.sanity_checks import check_lists, check_oracle, check_random, check_users
from tasks.models.hybrid import Hybrid
from tasks.training.task import load_model

STAGE = "evaluation"

_reading = Lock()


def load_eval_set(store: Store, cells: ArtifactRef) -> EvalSet:
    """Read the eval set; the last two stay in memory, as all models of a night are asked it."""
    with _reading:  # two tasks at a time must not hold it twice
        return _eval_set(store.root, cells.model_dump_json())


@lru_cache(maxsize=2)
def _eval_set(root: str, cells: str) -> EvalSet:
    return EvalSet.read(Store(root).parted(ArtifactRef.model_validate_json(cells)))


def per_user_rows(figures: pl.DataFrame, model: str, user_index: pl.DataFrame) -> pl.DataFrame:
    """Name the figures of ``measure`` by model and user id: rows of ``per_user``."""
    return figures.join(user_index, on="user_idx", how="left", maintain_order="left").select(
        pl.lit(model).alias("model"), *list(CONTRACTS["per_user"].to_schema().columns)[1:]
    )


def protocol_of(cells: ArtifactRef) -> Protocol:
    """Return how figures on these cells are measured, the measuring code with it."""
    return eval_protocol(
        cells.content, code_version_of(EvalSet, measure, oracle_and_base_rate, rank).code
    )


def protocol_in(measured: Mapping[str, ArtifactRef]) -> Protocol:
    """Return the one protocol of all ``per_user`` tables; ProtocolError if they have several."""
    return require_same(
        {name: Protocol.model_validate(ref.metadata["protocol"]) for name, ref in measured.items()}
    )


def state_protocol(out: Outputs, protocol: Protocol) -> None:
    """Note in all outputs how their figures were measured."""
    for writer in out.values():
        writer.metadata["protocol"] = protocol.model_dump(mode="json")


@table_task(stage=STAGE, reads=("eval_pairs", "user_index"), writes=("per_user",))
def evaluate_bounds(inputs: Inputs, out: Outputs) -> None:
    """Measure what frames all models on the eval set: the oracle and the base rate."""
    figures = oracle_and_base_rate(load_eval_set(inputs.store, inputs["eval_pairs"]))
    out["per_user"].append(per_user_rows(figures, ORACLE, inputs.read("user_index")))
    state_protocol(out, protocol_of(inputs["eval_pairs"]))


@table_task(
    stage=STAGE,
    reads=("model", "eval_pairs", "user_index", "user_features", "video_features"),
    writes=("per_user", "slices", "beyond_accuracy", "list_shares"),
    key="model",
)
def evaluate(inputs: Inputs, out: Outputs, *, model: str, seed: int) -> None:
    """Measure one model on the eval set: by user, on parts of it, what its lists are like.

    And visit by visit, for the live test.
    """
    eval_set = load_eval_set(inputs.store, inputs["eval_pairs"])
    index, users, videos = (
        inputs.read(table) for table in ("user_index", "user_features", "video_features")
    )
    fitted = load_model(inputs.store, inputs["model"])
    scores = fitted.score_on(eval_set.user_idx, eval_set.video_idx)
    del fitted  # what follows needs memory of its own
    ranked = rank(scores, eval_set.candidates, max(*eval_set.ks, LONGEST))
    check_lists(ranked, eval_set.candidates, ~np.isnan(scores), max(eval_set.ks), model)
    figures, served = measure(eval_set, scores, ranked, eval_set.ks)
    out["per_user"].append(per_user_rows(figures, model, index))
    out["per_user"].metadata |= served
    test = eval_set.test_rows
    parts = diagnose(eval_set.of_test_users, scores[test], users, videos, seed)
    for table, rows in parts.items():
        out[table].append(rows.select(pl.lit(model).alias("model"), pl.all()))
    shares = shares_by_visits(ranked[test], eval_set.enjoyed[test])
    out["list_shares"].append(share_rows(shares, model, eval_set.user_idx[test], index))
    state_protocol(out, protocol_of(inputs["eval_pairs"]))


@table_task(stage=STAGE, reads=("per_user/*",), writes=("leaderboard",))
def build_leaderboard(inputs: Inputs, out: Outputs, *, seed: int) -> None:
    """Compare all models on test users; order them, and choose one for the lists, by the others.

    Stops a night whose figures cannot be: ProtocolError, EvaluationError.
    """
    measured = inputs.group("per_user")
    state_protocol(out, protocol_in(measured))
    figures = inputs.concat("per_user")
    check_users(figures)
    leaderboard = leaderboard_of(figures, seed)
    check_oracle(leaderboard)
    check_random(figures, seed)
    models = tuple(name for name in measured if name != ORACLE)
    out["leaderboard"].append(leaderboard)
    choice = choose_model(figures, models, seed)
    out["leaderboard"].metadata["order_by_validation_users"] = order_models(figures, models)
    out["leaderboard"].metadata["choice"] = choice.model_dump(mode="json")


def rivals(order: Sequence[str]) -> tuple[str, ...]:
    """Return whom all are compared with: popularity and validation users' best single model.

    That is the bare best, a control too: a rival makes no list, and luck makes it no weaker.
    """
    single = next(name for name in order if not MODEL_CONFIGS[name].is_blend)
    return tuple(dict.fromkeys(["popularity", single]))


@table_task(
    stage=STAGE,
    reads=("leaderboard", "per_user/*"),
    writes=("comparisons", "rank_correlations", "rank_inversions", "notebook_reference"),
)
def compare_models(inputs: Inputs, out: Outputs, *, seed: int) -> None:
    """Compare all models with popularity and the best single one, all labels with the primary."""
    baseline = rivals(inputs["leaderboard"].metadata["order_by_validation_users"])
    figures = inputs.concat("per_user")
    out["comparisons"].append(comparisons_of(figures, baseline, seed))
    boards = boards_by_label(inputs.read("leaderboard"))
    others = [
        (f"small_matrix/{label}", f"small_matrix/{PRIMARY}") for label in LABELS if label != PRIMARY
    ]
    rank_correlations, rank_inversions = rank_correlations_of(
        boards, [pair for pair in others if pair[0] in boards]
    )
    out["rank_correlations"].append(rank_correlations)
    out["rank_inversions"].append(rank_inversions)
    out["notebook_reference"].append(notebook_rows(figures, whom_to_show(figures)))
    measured = {**inputs.group("per_user"), "leaderboard": inputs["leaderboard"]}
    state_protocol(out, protocol_in(measured))


@table_task(stage=STAGE, reads=("model", "eval_pairs"), writes=("ablation",), key="model")
def ablate_blend(inputs: Inputs, out: Outputs, *, model: str, seed: int) -> None:
    """Take one component after the other out of a blend."""
    blend = load_model(inputs.store, inputs["model"])
    if not isinstance(blend, Hybrid):
        raise TypeError(f"{model} blends nothing: there is nothing to take out of it")
    eval_set = load_eval_set(inputs.store, inputs["eval_pairs"]).of_test_users
    out["ablation"].append(ablation_of(blend, eval_set, seed))
    state_protocol(out, protocol_of(inputs["eval_pairs"]))
