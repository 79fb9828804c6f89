"""Some of the night's lists with what is behind them, for people to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from mlflow import MlflowClient

from schemas.artifacts import ArtifactRef, Snapshot
from schemas.errors import ModelError
from tasks.artifacts.store import Store
from tasks.models.popularity_fallback import is_fallback
from tasks.promotion.model_registry import loaded
from tasks.serving.champion_tables import Background
from tasks.serving.explain import lines_of, names_of
from tasks.serving.explanation_text import Line, Names

USERS, LENGTH = 3, 10
"""So many users' lists are shown, so many videos of each."""


@dataclass(frozen=True)
class SampleList:
    """The first videos of a user's list, whose it is, and what reasons are named by."""

    user_id: int
    model: str
    lines: list[Line]
    names: Names


def sample_lists(
    client: MlflowClient,
    store: Store,
    snapshot: Snapshot,
    lists: ArtifactRef,
    family: str,
    champion: str | None,
) -> list[SampleList]:
    """Return the lists of some test users of the block, of whom it is known what they enjoy.

    None where no champion made any, or its files are damaged.
    """
    rows = {
        user: of for user, of in _rows(store, snapshot, lists) if not is_fallback(of[0, "model"])
    }
    if champion is None or not rows:
        return []
    try:
        found = loaded(client.get_model_version(family, champion))
    except ModelError:  # which the night has told of
        return []
    background = Background.of(client, found.run_id)
    names = names_of(found, background)
    return [
        SampleList(
            user, of[0, "model"], lines_of(found, background, of, user, with_reasons=True), names
        )
        for user, of in rows.items()
    ]


def _rows(
    store: Store, snapshot: Snapshot, lists: ArtifactRef
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield users of the block who have a list, far apart by id, and its first rows."""
    block = store.scan(snapshot.tables["eval_pairs"]).filter("is_test").select("user_idx").unique()
    index = store.scan(snapshot.tables["user_index"])
    asked = index.join(block, on="user_idx", how="semi").select("user_id")
    head = store.scan(lists).filter(pl.col("rank") <= LENGTH)
    of_block = head.join(asked, on="user_id", how="semi").collect()
    users = of_block["user_id"].unique().sort()
    for user in users.gather_every(max(1, len(users) // USERS)).head(USERS).to_list():
        yield user, of_block.filter(user_id=user).sort("rank")
