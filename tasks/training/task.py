"""Training: one task a model, from the feature tables it uses to a saved model."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from schemas.model_settings import ModelConfig
from schemas.tables import CONTRACTS
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.features.cutoff import cut_at
from tasks.models.base import Recommender, Rehearsal, Training
from tasks.models.lookup import recommender_class
from tasks.reporting.progress import progress_shown

STAGE = "models"
TABLES = {
    "pairs": "pairs",
    "users": "user_features",
    "videos": "video_features",
    "friends": "friendships",
}
"""Attribute of ``Training`` to table."""


def load_training(
    store: Store, known: Known, rehearsed: Known, uses: frozenset[str], seed: int
) -> Training:
    """Read what is in ``uses``; other tables are empty, with their columns."""
    tables = known.tables
    pairs, users, videos, friends = (
        store.read(tables[table]) if attribute in uses else _empty(table)
        for attribute, table in TABLES.items()
    )
    training = Training(
        user_ids=store.read(tables["user_index"])["user_id"].to_numpy().astype(np.int32),
        video_ids=store.read(tables["video_index"])["video_id"].to_numpy().astype(np.int32),
        pairs=pairs,
        users=users,
        videos=videos,
        friends=friends,
        as_of=cut_at(known.as_of),
        seed=seed,
    )
    if "components" not in uses:
        return training
    return replace(
        training,
        components={name: load_model(store, ref) for name, ref in known.models.items()},
        rehearsal=load_rehearsal(store, rehearsed, known.models),
        tune_cells=store.scan(tables["cells"]).filter(~pl.col("is_test")).collect(),
    )


def load_rehearsal(store: Store, rehearsed: Known, names: Iterable[str]) -> Rehearsal:
    """Read an earlier day's models and what users who are not for testing saw after it."""
    tables = rehearsed.tables
    return Rehearsal(
        components={name: load_model(store, rehearsed.models[name]) for name in names},
        users=store.read(tables["user_features"]),
        videos=store.read(tables["video_features"]),
        seen_next=store.scan(tables["next_days"]).filter(~pl.col("is_test")).collect(),
    )


def _empty(table: str) -> pl.DataFrame:
    contract = CONTRACTS[table].to_schema()
    plain = {name: c.dtype.type for name, c in contract.columns.items() if not c.regex}
    return pl.DataFrame(schema=plain)


@step("train", "train-{name}-{known.as_of}")
def train(
    name: str,
    settings: dict[str, Any],
    known: Known,
    rehearsed: Known,
    seed: int,
    root: str,
) -> State[Refs]:
    """Fit one model on what was ``known`` by a day and save it as ``models/<name>``.

    ``rehearsed``, an earlier day, is looked at by a blend alone.
    """
    store = Store(root)
    model_class = recommender_class(name)
    config: ModelConfig = model_class.config_type.model_validate(settings)

    def build(drafts: dict[str, Draft]) -> None:
        training = load_training(store, known, rehearsed, model_class.uses, seed)
        with progress_shown(f"train-{name.replace('_', '-')}", f"Training of {name}"):
            model = model_class(config).fit(training)
        model.save(drafts[name].folder)
        drafts[name].facts |= {"curves": dict(model.curves()), "findings": dict(model.findings())}

    return make(
        store,
        STAGE,
        (name,),
        build,
        parents=_parents(model_class.uses, known, rehearsed),
        found=code_of(known, name),
        config={"model": name, "as_of": str(known.as_of), **config.model_dump(mode="json")},
        seed=seed,
    )


def _parents(uses: frozenset[str], known: Known, rehearsed: Known) -> Refs:
    """Return what a model is made from, by its role; the order of components counts."""
    names = ["user_index", "video_index", *(TABLES[a] for a in TABLES if a in uses)]
    parents = {name: known.tables[name] for name in names}
    if "components" in uses:
        for place, name in enumerate(known.models):
            parents[f"component_{place}_{name}"] = known.models[name]
            parents[f"rehearsed_{place}_{name}"] = rehearsed.models[name]
        for name in ("user_features", "video_features", "next_days"):
            parents[f"rehearsed_{name}"] = rehearsed.tables[name]
        parents["cells"] = known.tables["cells"]
    return parents


def code_of(known: Known, name: str) -> tuple[type[Recommender[Any]], ...]:
    """Return the classes that a trained model consists of: its own, and a blend's components'."""
    own = recommender_class(name)
    return (own, *map(recommender_class, known.models)) if "components" in own.uses else (own,)


def load_model(store: Store, ref: ArtifactRef) -> Recommender[Any]:
    """Load a trained model by its reference."""
    return recommender_class(ref.name).load(store.folder(ref))
