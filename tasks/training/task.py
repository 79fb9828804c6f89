"""Training: one task a model, from the feature tables it uses to a saved model."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from importlib import import_module
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np
import polars as pl

from schemas.artifacts import ArtifactRef, Json
from schemas.model_settings import MODEL_CONFIGS
from schemas.tables import CONTRACTS
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.parted_table import PartedTable
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import MODELS, table_task
from tasks.features.cutoff import cut_at
from tasks.models.base import Backtest, Recommender, Training
from tasks.models.blends.block_cells import LOG_ALONE
from tasks.models.lookup import recommender_class
from tasks.reporting.progress import progress_shown
from tasks.training.training_needs import needs_of_training

logger = logging.getLogger(__name__)

V = TypeVar("V")

_importing = Lock()
"""Models are trained side by side, and nothing may be imported by two threads at once."""
_imported: set[str] = set()

_loading = Lock()
_loaded: WeakValueDictionary[tuple[str, str], Recommender[Any]] = WeakValueDictionary()
"""Models that somebody in this process uses, by root and reference."""

TABLES = {
    "user_item": "user_item",
    "users": "user_features",
    "videos": "video_features",
    "friends": "friendships",
}
"""Attribute of ``Training`` to table."""

OF_BACKTEST = ("user_features", "video_features", "holdout")
"""Tables of the backtest that a blend learns from."""


def inputs_of(
    model: str,
    tables: Mapping[str, V],
    components: Mapping[str, V],
    backtest_tables: Mapping[str, V],
    backtest_models: Mapping[str, V],
) -> dict[str, V]:
    """Choose what a model is trained on, by role; a blend looks at other models and the backtest.

    The order of ``components`` counts: a blend names and weighs them in it.
    """
    required_tables = recommender_class(model).required_tables
    names = ["user_index", "video_index", *(TABLES[a] for a in TABLES if a in required_tables)]
    inputs = {name: tables[name] for name in names}
    if "components" in required_tables:
        inputs["eval_pairs"] = tables["eval_pairs"]
        inputs |= {f"component/{name}": made for name, made in components.items()}
        inputs |= {f"backtest_model/{name}": backtest_models[name] for name in components}
        inputs |= {f"backtest_table/{name}": backtest_tables[name] for name in OF_BACKTEST}
    return inputs


def warn_of_weak_blends(made: Inputs) -> None:
    """Say in the log which blend had nobody's cells of the block to learn from."""
    for name in MODEL_CONFIGS:
        if name in made and made[name].metadata["fit_summary"].get("learned_from") == LOG_ALONE:
            logger.warning(
                "%s has learned from %s, where a recommender chose what was shown: its"
                " weights are weaker than those that validation users of the block would give",
                name,
                LOG_ALONE,
            )


@table_task(
    stage=MODELS,
    reads=("user_index", "video_index"),
    optional=(
        *TABLES.values(),
        "eval_pairs",
        "component/*",
        "backtest_model/*",
        "backtest_table/*",
    ),
    writes=("{model}",),
    code=lambda *, model, **_: (recommender_class(model),),
    key="model",
    log=warn_of_weak_blends,
    needs=needs_of_training,
)
def train(
    inputs: Inputs, out: Outputs, *, model: str, config: Json, as_of: date, seed: int
) -> None:
    """Fit one model on what was known by a day, and save it."""
    kind = recommender_class(model)
    import_libraries(kind.libraries)
    training = load_training(inputs, kind.required_tables, as_of, seed)
    with progress_shown(f"train-{model.replace('_', '-')}", f"Training of {model}"):
        fitted = kind(kind.config_type.model_validate(config)).fit(training)
    fitted.save(out[model].folder)
    out[model].metadata |= {
        "curves": dict(fitted.curves()),
        "fit_summary": dict(fitted.fit_summary()),
        "components": list(training.components),
    }


def import_libraries(names: Iterable[str]) -> None:
    """Import modules; whose are there does not wait for another thread's, which take seconds."""
    if _imported.issuperset(names):
        return
    with _importing:
        for name in names:
            import_module(name)
            _imported.add(name)


def load_training(
    inputs: Inputs, required_tables: Iterable[str], as_of: date, seed: int
) -> Training:
    """Read what is in ``required_tables``; other tables are empty, with their columns."""
    users, videos, friends = (
        inputs.read(table) if attribute in required_tables else _empty(table)
        for attribute, table in TABLES.items()
        if attribute != "user_item"
    )
    pairs = (
        inputs.parted("user_item")
        if "user_item" in required_tables
        else PartedTable.of(_empty("user_item"))
    )
    training = Training(
        user_ids=inputs.read("user_index")["user_id"].to_numpy().astype(np.int32),
        video_ids=inputs.read("video_index")["video_id"].to_numpy().astype(np.int32),
        user_item=pairs,
        users=users,
        videos=videos,
        friends=friends,
        as_of=cut_at(as_of),
        seed=seed,
    )
    return with_components(training, inputs) if "components" in required_tables else training


def with_components(training: Training, inputs: Inputs) -> Training:
    """Add what a blend is given beside it."""
    users, videos = (inputs.read(f"backtest_table/{name}") for name in OF_BACKTEST[:2])
    components = load_models(inputs, "component")
    then, now = inputs.group("backtest_model"), inputs.group("component")
    components_then = {
        # A blend of the backtest itself is given the same models twice
        name: components[name] if ref == now.get(name) else load_model(inputs.store, ref)
        for name, ref in then.items()
    }
    return replace(
        training,
        components=components,
        backtest=Backtest(
            components=components_then,
            users=users,
            videos=videos,
            seen_next=inputs.parted("backtest_table/holdout").where(~pl.col("is_test")),
        ),
        validation_pairs=inputs.parted("eval_pairs").where(~pl.col("is_test")),
    )


def _empty(table: str) -> pl.DataFrame:
    contract = CONTRACTS[table].to_schema()
    plain = {name: c.dtype.type for name, c in contract.columns.items() if not c.regex}
    return pl.DataFrame(schema=plain)


def load_models(inputs: Inputs, prefix: str) -> dict[str, Recommender[Any]]:
    """Load the models of a group by name, in its order."""
    return {name: load_model(inputs.store, ref) for name, ref in inputs.group(prefix).items()}


def load_model(store: Store, ref: ArtifactRef) -> Recommender[Any]:
    """Load a trained model by its reference; tasks that use it at the same time share it."""
    key = (store.root, ref.model_dump_json())
    with _loading:  # two tasks at a time must not hold it twice
        model = _loaded.get(key)
        if model is None:
            model = _loaded[key] = recommender_class(ref.name).load(store.folder(ref))
        return model
