"""Tuning: a task for each try of a model's settings, and for what becomes of the best."""

import logging
from datetime import date

import polars as pl

from schemas.artifacts import Json
from schemas.errors import TuningError
from schemas.settings import NightlyConfig
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.table_task import table_task
from tasks.metrics.eval_set import EvalSet, measure
from tasks.metrics.labels import PRIMARY
from tasks.metrics.ranking import rank
from tasks.models.lookup import recommender_class
from tasks.sources.task import RawData
from tasks.training.task import TABLES, load_training
from tasks.training.training_needs import needs_of_training
from tasks.tuning.compare_settings import DEFAULT, K, comparison_of, silent_users
from tasks.tuning.tuned_settings import TunedFolder

logger = logging.getLogger(__name__)

STAGE = "tuning"


@table_task(
    stage=STAGE,
    reads=("user_index", "video_index", "eval_pairs"),
    optional=tuple(TABLES.values()),
    writes=("trial_scores",),
    code=lambda *, model, **_: (recommender_class(model),),
    key="model",
    needs=needs_of_training,
)
def try_settings(
    inputs: Inputs, out: Outputs, *, model: str, config: Json, as_of: date, seed: int
) -> None:
    """Fit a model with some settings, and measure it on validation users; the model is not kept.

    TuningError if there is no validation user with an enjoyed video.
    """
    kind = recommender_class(model)
    eval_set = validation_set(inputs.scan("eval_pairs").filter(~pl.col("is_test")).collect())
    training = load_training(inputs, kind.required_tables, as_of, seed)
    fitted = kind(kind.config_type.model_validate(config)).fit(training)
    scores = fitted.score_on(eval_set.user_idx, eval_set.video_idx)
    ranked = rank(scores, eval_set.candidates, K)
    figures, _ = measure(eval_set, scores, ranked, [K], [PRIMARY])
    ndcg = figures.filter(metric="ndcg").join(inputs.read("user_index"), on="user_idx")
    out["trial_scores"].append(ndcg.select("user_id", "value").sort("user_id"))
    out["trial_scores"].metadata["ndcg"] = float(ndcg["value"].mean())  # type: ignore[arg-type]  # floats


def validation_set(cells: pl.DataFrame) -> EvalSet:
    """Return validation users' cells as an eval set; TuningError if nobody has enjoyed anything."""
    if not cells["enjoyed"].any():
        raise TuningError(
            f"none of the block's {cells['user_idx'].n_unique()} validation users (one user in"
            " five, by a hash of the id) has an enjoyed video: there is nothing to choose settings"
            " by. Give a small matrix with more users"
        )
    return EvalSet.of(cells)


def log_silent(made: Inputs) -> None:
    """Say how many validation users chose nothing."""
    if silent := made["tuning_comparison"].metadata["silent_users"]:
        logger.info("%d validation users have no enjoyed video: they choose nothing", silent)


@table_task(
    stage=STAGE, reads=("per_user/*", "scores/*"), writes=("tuning_comparison",), log=log_silent
)
def compare_settings(inputs: Inputs, out: Outputs, *, seed: int) -> None:
    """Compare the winner with the defaults and what is in force, on both kinds of users."""
    tables, scores = (
        {name: inputs.store.read(ref) for name, ref in inputs.group(group).items()}
        for group in ("per_user", "scores")
    )
    out["tuning_comparison"].append(comparison_of(tables, list(scores.values()), seed))
    out["tuning_comparison"].metadata["silent_users"] = silent_users(tables[DEFAULT])


@plain_task("{as_of}")
def resolve_settings(config: NightlyConfig, raw: RawData, as_of: date) -> NightlyConfig:
    """Return a night's settings with what tuning has found by its day, and say so in the log.

    Models whose settings a person has given keep those.
    """
    folder = TunedFolder.of(config, raw)
    found = {
        model: tuned
        for model in config.models
        if model not in config.model_params
        and (tuned := folder.newest(model, until=as_of)) is not None
        and tuned.settings
    }
    for model, tuned in found.items():
        logger.info("%s with the settings tuned as of %s: %s", model, tuned.as_of, tuned.settings)
    tuned_params = {model: tuned.settings for model, tuned in found.items()}
    return config.model_copy(update={"model_params": config.model_params | tuned_params})
