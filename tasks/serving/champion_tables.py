"""What is known around a list: the tables of the night that trained the champion.

They are found as the datasets of the champion's run in MLflow. One that is no longer there, or is
not what the run saw, is named in ``missing``; what it would tell is then not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from mlflow import MlflowClient

from schemas.errors import StoreError
from tasks.artifacts.backend import backend_of
from tasks.artifacts.manifest import MANIFEST, from_text, reference
from tasks.artifacts.store import Store

SCHEMAS: Mapping[str, Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "user_item": {"user_idx": pl.Int32, "video_idx": pl.Int32, "enjoyed": pl.Float32},
    "friendships": {"user_idx": pl.Int32, "friend_idx": pl.Int32},
    "video_features": {"video_idx": pl.Int32, "tags": pl.List(pl.Int16), "caption": pl.String},
    "captions": {"category_1_id": pl.Int32, "category_1_name": pl.String},
    "eval_pairs": {
        "user_idx": pl.Int32,
        "video_idx": pl.Int32,
        "watch_ratio": pl.Float64,
        "enjoyed": pl.Boolean,
    },
}
"""Columns used, by table."""


@dataclass(frozen=True)
class Background:
    """Lazy tables by name, empty where they are missing; and the names of the missing ones."""

    tables: Mapping[str, pl.LazyFrame]
    missing: tuple[str, ...]
    stores: tuple[Store, ...]
    """Of the tables: what was fetched stays here while they do."""

    @classmethod
    def of(cls, client: MlflowClient, run_id: str) -> Background:
        """Find the tables of a run, under whatever root they were made."""
        logged = {
            given.dataset.name: (json.loads(given.dataset.source).get("uri"), given.dataset.digest)
            for given in client.get_run(run_id).inputs.dataset_inputs
        }
        tables, missing, stores = {}, [], []
        for name, schema in SCHEMAS.items():
            found = _table(*logged[name]) if name in logged else None
            if found is None:
                missing.append(name)
                tables[name] = pl.LazyFrame(schema=schema)
            else:
                tables[name], store = found
                stores.append(store)
        return cls(tables, tuple(missing), tuple(stores))

    def of_user(self, user_idx: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the friendships of a user, and the pairs of the user and those friends."""
        friendships = self.tables["friendships"].filter(user_idx=user_idx).collect()
        users = [user_idx, *friendships["friend_idx"].to_list()]
        pairs = self.tables["user_item"].filter(pl.col("user_idx").is_in(users)).collect()
        return friendships, pairs

    def did(self, user_idx: int) -> dict[int, tuple[float, bool]]:
        """Return, by video_idx, the watch ratio and whether it was enjoyed, where the block knows.

        Empty for users outside of the block.
        """
        cells = self.tables["eval_pairs"].filter(user_idx=user_idx)
        rows = cells.select("video_idx", "watch_ratio", "enjoyed").collect().iter_rows()
        return {video: (ratio, enjoyed) for video, ratio, enjoyed in rows}

    def captions(self) -> dict[int, str | None]:
        """Return the captions by video_idx."""
        return dict(self.tables["video_features"].select("video_idx", "caption").collect().rows())

    def tags(self) -> dict[int, list[str]]:
        """Return the tags by video_idx, by name where that is known.

        Tags and the first level of categories are one space of ids, and only the latter has names.
        """
        levels = self.tables["captions"].select("category_1_id", "category_1_name")
        names = dict(levels.drop_nulls().unique().sort(pl.all()).collect().rows())
        rows = self.tables["video_features"].select("video_idx", "tags").collect().iter_rows()
        return {video: [names.get(tag, str(tag)) for tag in tags] for video, tags in rows}


def _table(path: str, content: str) -> tuple[pl.LazyFrame, Store] | None:
    """Return the table in a folder or URL if it is there, whole, and has this content.

    With it comes its store.
    """
    try:
        root = path.rsplit("/", 3)[0]  # of <root>/<stage>/<name>/<fingerprint>
        ref = reference(from_text(backend_of(root).read(f"{path}/{MANIFEST}")), path)
        store = Store(root)
        return (store.scan(ref), store) if ref.content == content else None
    except (OSError, ValueError, ImportError, StoreError):
        return None
