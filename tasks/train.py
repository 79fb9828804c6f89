"""Training: one task a model, from the feature tables it uses to a saved model."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from schemas.models import ModelConfig
from schemas.tables import CONTRACTS
from tasks.features.calendar import cut_at
from tasks.models.interface import Recommender, Training
from tasks.models.registry import recommender_class
from tasks.steps import Refs, make, recipe, step
from tasks.store import Draft, Store

STAGE = "models"
TABLES = {
    "pairs": "pairs",
    "users": "user_features",
    "videos": "video_features",
    "friends": "friendships",
}
"""Attribute of ``Training`` to table."""


def load_training(
    store: Store,
    tables: Mapping[str, ArtifactRef],
    uses: frozenset[str],
    as_of: date,
    seed: int,
) -> Training:
    """Read the tables in ``uses``; the others are empty, with their columns."""
    frames = {
        attribute: store.read(tables[table]) if attribute in uses else _empty(table)
        for attribute, table in TABLES.items()
    }
    return Training(
        user_ids=store.read(tables["user_index"])["user_id"].to_numpy().astype(np.int32),
        video_ids=store.read(tables["video_index"])["video_id"].to_numpy().astype(np.int32),
        **frames,
        as_of=cut_at(as_of),
        seed=seed,
    )


def _empty(table: str) -> pl.DataFrame:
    contract = CONTRACTS[table].to_schema()
    plain = {name: c.dtype.type for name, c in contract.columns.items() if not c.regex}
    return pl.DataFrame(schema=plain)


@step("train", "train-{name}")
def train(
    name: str,
    settings: dict[str, Any],
    tables: Mapping[str, ArtifactRef],
    as_of: date,
    seed: int,
    root: str,
) -> State[Refs]:
    """Fit one model on what was known by ``as_of`` and save it as ``models/<name>``."""
    store = Store(root)
    model_class = recommender_class(name)
    config: ModelConfig = model_class.config_type.model_validate(settings)

    def build(drafts: dict[str, Draft]) -> None:
        training = load_training(store, tables, model_class.uses, as_of, seed)
        model = model_class(config).fit(training)
        model.save(drafts[name].folder)
        drafts[name].facts["curves"] = dict(model.curves())

    parents = ["user_index", "video_index", *(TABLES[attribute] for attribute in model_class.uses)]
    how = recipe(
        STAGE,
        parents={table: tables[table] for table in sorted(parents)},
        code=(model_class, load_training),
        config={"model": name, "as_of": str(as_of), **config.model_dump(mode="json")},
        seed=seed,
    )
    return make(store, how, (name,), build)


def load_model(store: Store, ref: ArtifactRef) -> Recommender[Any]:
    """Load a trained model by its reference."""
    return recommender_class(ref.name).load(store.folder(ref))
