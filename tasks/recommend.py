"""Lists for everybody: the N videos that each user might fancy, none of them seen before."""

from collections.abc import Mapping

import numpy as np
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from schemas.tables import CONTRACTS
from tasks.models.catalogue import Catalogue
from tasks.models.lists import top_lists
from tasks.models.registry import recommender_class
from tasks.steps import Refs, make, recipe, step
from tasks.store import Draft, Store
from tasks.train import load_model

USERS_AT_ONCE = 512
"""Users scored together: 22 MB of scores at KuaiRec's size."""


def load_catalogue(store: Store, tables: Mapping[str, ArtifactRef]) -> Catalogue:
    """Read ids and seen pairs as of the cut."""
    return Catalogue.of(
        store.read(tables["user_index"]),
        store.read(tables["video_index"]),
        store.read(tables["pairs"], ["user_idx", "video_idx"]),
    )


@step("recommend", "recommend-{model.name}")
def recommend(
    model: ArtifactRef, tables: Mapping[str, ArtifactRef], n: int, root: str
) -> State[Refs]:
    """Write every user's list by one model: ``top_n``."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        catalogue = load_catalogue(store, tables)
        trained = load_model(store, model)
        everybody = np.arange(len(catalogue.user_ids))
        for user_idx in np.array_split(everybody, -(-len(everybody) // USERS_AT_ONCE)):
            drafts["top_n"].append(top_lists(trained, catalogue, user_idx, n))
        drafts["top_n"].facts["model"] = model.name

    how = recipe(
        "lists",
        parents={"model": model, **{t: tables[t] for t in ("user_index", "video_index", "pairs")}},
        code=(recommender_class(model.name), Catalogue, top_lists, CONTRACTS["top_n"]),
        config={"model": model.name, "n": n},
    )
    return make(store, how, ("top_n",), build)
