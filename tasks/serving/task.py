"""Lists for everybody, by the champion: the N best videos that each user has not seen before."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known, Verdict
from schemas.errors import UnreachableError
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import NightlyConfig
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, ensure, settled, step
from tasks.artifacts.writer import Draft
from tasks.evaluation.frames import challenger_of
from tasks.models.base import Recommender
from tasks.models.catalogue import Catalogue
from tasks.models.lookup import recommender_class
from tasks.models.popularity_fallback import fallback_of
from tasks.models.score_by_id import FromElsewhere
from tasks.serving.top_n import lists_for_all
from tasks.training.task import code_of, load_model


def load_catalogue(store: Store, tables: Mapping[str, ArtifactRef]) -> Catalogue:
    """Read ids and seen pairs as of the cut."""
    return Catalogue.of(
        store.read(tables["user_index"]),
        store.read(tables["video_index"]),
        store.read(tables["pairs"], ["user_idx", "video_idx"]),
    )


@dataclass(frozen=True)
class Answering:
    """The champion, as far as a recipe names it; its files are read only where lists are made.

    ``content`` is that of its files, and ``load`` gives the model and its catalogue.
    """

    model: str
    content: str
    as_of: date
    load: Callable[[], tuple[Recommender[Any], Catalogue]]

    @property
    def code(self) -> Iterator[type[Recommender[Any]]]:
        """The classes it consists of; which components a blend has is only known when loaded."""
        is_blend = MODEL_CONFIGS[self.model].is_blend
        return map(recommender_class, MODEL_CONFIGS if is_blend else (self.model,))


def lists_table(
    store: Store, known: Known, answering: Answering | None, stand_in: str, n: int
) -> tuple[Refs, bool]:
    """Return the table ``top_n`` of a night, and whether it was there before.

    Every user's list is the champion's; whom it does not know or cannot serve gets what is popular
    with it. Where there is none, or it is of a later day or other data, all get what is popular
    with tonight's model ``stand_in``.
    """
    if answering is not None and answering.as_of > known.as_of:
        answering = None  # what it knows of the days to come must be in no list

    def build(drafts: dict[str, Draft]) -> None:
        here = load_catalogue(store, known.tables)
        scorer = None
        if answering is not None:
            model, its = answering.load()
            if its.is_of_the_data_of(here):
                scorer = FromElsewhere(model, its, here)
        if scorer is None:
            fallback = fallback_of(load_model(store, known.models[stand_in]))
        else:
            fallback = cache(scorer.popular)
        by_model: Counter[str] = Counter()
        for rows in lists_for_all(scorer, fallback, here, here.user_ids, n):
            drafts["top_n"].append(rows)
            by_model.update(rows.filter(rank=1)["model"].to_list())
        drafts["top_n"].facts["users_by_model"] = dict(by_model)

    return ensure(
        store,
        "lists",
        ("top_n",),
        build,
        parents={
            **({} if answering is None else {"champion": answering.content}),
            "stand_in": known.models[stand_in],
            **{name: known.tables[name] for name in ("user_index", "video_index", "pairs")},
        },
        found=[*code_of(known, stand_in), *([] if answering is None else answering.code)],
        config={"n": n, "stand_in": stand_in},
    )


def stand_in_of(known: Known, verdict: Verdict) -> str:
    """Return the model that says what is popular where no champion can: popularity, if there."""
    return "popularity" if "popularity" in known.models else challenger_of(known, verdict)


@step("recommend", "recommend-{known.as_of}", retry_on=UnreachableError)
def recommend(
    config: NightlyConfig, known: Known, verdict: Verdict, family: str, champion: str | None
) -> State[Refs]:
    """Write every user's list by version ``champion`` of registered model ``family``: ``top_n``.

    ModelError if its files are not as they were logged.
    """
    from tasks.promotion.model_registry import answering
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        found = None if champion is None else answering(client, family, champion)
        refs, was_there = lists_table(
            Store(config.root), known, found, stand_in_of(known, verdict), config.top_n
        )
    by_model: dict[str, int] = refs["top_n"].facts["users_by_model"]
    said = ", ".join(f"{users} by {model}" for model, users in by_model.items())
    return settled(refs, was_there=was_there, message=f"lists of users: {said}")
