"""Lists for everybody: the N videos that each user might fancy, none of them seen before."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from tasks.draft import Draft
from tasks.models.catalogue import Catalogue
from tasks.models.interface import Recommender
from tasks.models.lists import top_lists
from tasks.steps import Refs, make, step
from tasks.store import Store
from tasks.train import code_of, load_model

USERS_AT_ONCE = 512
"""Users scored together by a core: 22 MB of scores at KuaiRec's size."""


def load_catalogue(store: Store, tables: Mapping[str, ArtifactRef]) -> Catalogue:
    """Read ids and seen pairs as of the cut."""
    return Catalogue.of(
        store.read(tables["user_index"]),
        store.read(tables["video_index"]),
        store.read(tables["pairs"], ["user_idx", "video_idx"]),
    )


def lists_by_first_able(
    models: Iterable[Recommender[Any]],
    catalogue: Catalogue,
    user_idx: NDArray[np.int64],
    n: int,
) -> Iterator[pl.DataFrame]:
    """Yield rows of ``top_n``: each user's list by the first of ``models`` that can serve him."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for model in models:
            unserved = []
            chunks = np.array_split(user_idx, max(1, -(-len(user_idx) // USERS_AT_ONCE)))
            lists = threads.map(partial(top_lists, model, catalogue, n=n), chunks)
            for chunk, rows in zip(chunks, lists, strict=True):
                yield rows
                is_served = np.isin(catalogue.user_ids[chunk], rows["user_id"].to_numpy())
                unserved.append(chunk[~is_served])
            user_idx = np.concatenate(unserved)
            if not user_idx.size:
                return


@step("recommend", "recommend-{known.as_of}")
def recommend(known: Known, leaderboard: ArtifactRef, n: int, root: str) -> State[Refs]:
    """Write every user's list by the best model, or the next best that can serve: ``top_n``."""
    store = Store(root)
    names: list[str] = leaderboard.facts["order_by_tune_users"]

    def build(drafts: dict[str, Draft]) -> None:
        catalogue = load_catalogue(store, known.tables)
        everybody = np.arange(len(catalogue.user_ids))
        models = (load_model(store, known.models[name]) for name in names)
        by_model: Counter[str] = Counter()
        for rows in lists_by_first_able(models, catalogue, everybody, n):
            drafts["top_n"].append(rows)
            by_model.update(rows.filter(rank=1)["model"].to_list())
        drafts["top_n"].facts["users_by_model"] = dict(by_model)

    return make(
        store,
        "lists",
        ("top_n",),
        build,
        parents={
            **{f"model_{place}": known.models[name] for place, name in enumerate(names)},
            **{name: known.tables[name] for name in ("user_index", "video_index", "pairs")},
        },
        found=[found for name in names for found in code_of(known, name)],
        config={"models": names, "n": n},
    )
