"""Lists for everybody: the N videos that each user might fancy, none of them seen before."""

from collections import Counter
from collections.abc import Mapping

from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from tasks.draft import Draft
from tasks.models.catalogue import Catalogue
from tasks.models.fallback import fallback_of
from tasks.models.lists import lists_for_all
from tasks.steps import Refs, make, step
from tasks.store import Store
from tasks.train import code_of, load_model


def load_catalogue(store: Store, tables: Mapping[str, ArtifactRef]) -> Catalogue:
    """Read ids and seen pairs as of the cut."""
    return Catalogue.of(
        store.read(tables["user_index"]),
        store.read(tables["video_index"]),
        store.read(tables["pairs"], ["user_idx", "video_idx"]),
    )


@step("recommend", "recommend-{known.as_of}")
def recommend(known: Known, leaderboard: ArtifactRef, n: int, root: str) -> State[Refs]:
    """Write every user's list by the best model, or what is popular with it: ``top_n``."""
    store = Store(root)
    names: list[str] = leaderboard.facts["order_by_tune_users"]

    def build(drafts: dict[str, Draft]) -> None:
        catalogue = load_catalogue(store, known.tables)
        model = load_model(store, known.models[names[0]])
        by_model: Counter[str] = Counter()
        users = catalogue.user_ids
        for rows in lists_for_all(model, fallback_of(model), catalogue, users, n):
            drafts["top_n"].append(rows)
            by_model.update(rows.filter(rank=1)["model"].to_list())
        drafts["top_n"].facts["users_by_model"] = dict(by_model)

    return make(
        store,
        "lists",
        ("top_n",),
        build,
        parents={
            "model": known.models[names[0]],
            **{name: known.tables[name] for name in ("user_index", "video_index", "pairs")},
        },
        found=code_of(known, names[0]),
        config={"model": names[0], "n": n},
    )
