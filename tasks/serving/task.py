"""Lists for everybody, by the champion: the N best videos that each user has not seen before."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Protocol

from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, EvaluationTables, Json, Snapshot
from schemas.errors import UnreachableError
from schemas.list_rule_settings import ListRulesConfig
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import NightlyConfig
from tasks.artifacts.inputs import Inputs, Outputs, Parent, Refs
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext, table_task
from tasks.evaluation.frames import challenger_of
from tasks.models.base import Recommender
from tasks.models.catalogue import Catalogue
from tasks.models.lookup import recommender_class
from tasks.models.popularity_fallback import fallback_of
from tasks.models.score_by_id import ScoresById
from tasks.serving.house_rules import FACTS, Exclusions, rules_of
from tasks.serving.list_rules import ListRules, words
from tasks.serving.top_n import top_n_for_all
from tasks.training.task import load_model

logger = logging.getLogger(__name__)


class Tables(Protocol):
    """Tables by name: those of a snapshot, or the inputs of a task."""

    def __getitem__(self, name: str, /) -> ArtifactRef:
        """Return a table."""


def load_catalogue(store: Store, tables: Tables) -> Catalogue:
    """Read ids and seen pairs as of the cut."""
    return Catalogue.of(
        store.read(tables["user_index"]),
        store.read(tables["video_index"]),
        store.parted(tables["user_item"]),
    )


@table_task(
    stage="serving", reads=("user_index", "video_features", "exclusions"), writes=("list_rules",)
)
def build_list_rules(inputs: Inputs, out: Outputs, *, config: Json, as_of: date) -> None:
    """Write down the rules of the house as of a night, with what they need to know of videos."""
    videos = inputs.read("video_features", ["video_id", *FACTS])
    exclusions = inputs.given("exclusions", Exclusions)
    rules = rules_of(videos, as_of, ListRulesConfig.model_validate(config), exclusions)
    rules.save(out["list_rules"].folder)
    user_ids = inputs.read("user_index")["user_id"].to_numpy()
    unknown = exclusions.unknown(user_ids, videos["video_id"].to_numpy())
    out["list_rules"].metadata["notes"] = [*exclusions.notes, *unknown]


def with_list_rules(config: NightlyConfig, snapshot: Snapshot, exclusions: Exclusions) -> Snapshot:
    """Return a snapshot with the rules of the house, where any is set; say what is odd of them."""
    if not config.has_rules:
        return snapshot
    settings = {
        name: value
        for name, value in config.model_dump(include=set(ListRulesConfig.model_fields)).items()
        if not name.endswith("_file")  # what is in them counts, not where they are
    }
    tables: dict[str, Parent] = {**snapshot.tables, "exclusions": exclusions}
    run = RunContext(config.root, config.seed, snapshot.as_of)
    ref = build_list_rules(run, tables, config=settings)["list_rules"]
    for note in ref.metadata["notes"]:
        logger.warning("rules of the house: %s", note)
    return snapshot.model_copy(update={"list_rules": ref})


def load_rules(store: Store, snapshot: Snapshot) -> ListRules:
    """Read the rules of a snapshot; where there are none, only what they would need to know."""
    if snapshot.list_rules is not None:
        found = ListRules.load(store.folder(snapshot.list_rules))
        if found is not None:
            return found
    videos = store.read(snapshot.tables["video_features"], ["video_id", *FACTS])
    return rules_of(videos, snapshot.as_of, ListRulesConfig(), Exclusions(None, None))


@dataclass(frozen=True)
class ChampionSource:
    """The champion, as far as a spec names it; its files are read only where lists are made.

    ``content`` is that of its files, and ``load`` gives the model and its catalogue.
    """

    model: str
    content: str
    as_of: date
    load: Callable[[], tuple[Recommender[Any], Catalogue]]


def classes_of_champion(*, champion: str | None, **_: Any) -> Iterator[type[Recommender[Any]]]:
    """The classes of a champion: which components a blend has is only known when it is loaded."""
    if champion is None:
        return iter(())
    is_blend = MODEL_CONFIGS[champion].is_blend
    return map(recommender_class, MODEL_CONFIGS if is_blend else (champion,))


@table_task(
    stage="serving",
    reads=("fallback_model", "user_index", "video_index", "user_item"),
    optional=("champion", "list_rules"),
    writes=("top_n",),
    code=classes_of_champion,
)
def build_top_n(inputs: Inputs, out: Outputs, *, champion: str | None, top_n: int) -> None:
    """List the best unseen videos of every user by the champion, a model of this name.

    Whom it does not know or cannot serve gets what is popular with it. Where there is none, or it
    is of other data, all get what is popular with the fallback model. All lists obey the rules.
    """
    here = load_catalogue(inputs.store, inputs)
    scorer = None
    if champion is not None:
        model, its = inputs.given("champion", ChampionSource).load()
        if its.is_of_the_data_of(here):
            scorer = ScoresById(model, its, here)
    if scorer is None:
        fallback = fallback_of(load_model(inputs.store, inputs["fallback_model"]))
    else:
        fallback = cache(scorer.popular)
    rules = None
    if "list_rules" in inputs:
        rules = ListRules.load(inputs.store.folder(inputs["list_rules"]))
    by_model, counts = Counter[str](), Counter[str]()
    lists = top_n_for_all(scorer, fallback, here, here.user_ids, top_n, rules=rules, counts=counts)
    for rows in lists:
        out["top_n"].append(rows)
        by_model.update(rows.filter(rank=1)["model"].to_list())
    out["top_n"].metadata |= {"users_by_model": dict(by_model), "list_rules": dict(counts)}


def stand_in_of(snapshot: Snapshot, evaluation: EvaluationTables) -> str:
    """Return the model that says what is popular where no champion can: popularity, if there."""
    return "popularity" if "popularity" in snapshot.models else challenger_of(evaluation)


def top_n_table(
    config: NightlyConfig,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    champion: ChampionSource | None,
) -> tuple[Refs, bool]:
    """Return the table ``top_n`` of a night, and whether it was there before."""
    if champion is not None and champion.as_of > snapshot.as_of:
        champion = None  # what it knows of the days to come must be in no list
    inputs: dict[str, Parent] = {
        "fallback_model": snapshot.models[stand_in_of(snapshot, evaluation)]
    }
    inputs |= {name: snapshot.tables[name] for name in ("user_index", "video_index", "user_item")}
    inputs |= {} if champion is None else {"champion": champion}
    inputs |= {} if snapshot.list_rules is None else {"list_rules": snapshot.list_rules}
    settings = {"champion": champion and champion.model, "top_n": config.top_n}
    run = RunContext(config.root, config.seed, snapshot.as_of)
    return build_top_n.build_or_reuse(run, inputs, settings)


@plain_task("{snapshot.as_of}", hours=1, retry_on=UnreachableError)
def recommend_from_champion(
    config: NightlyConfig,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    family: str,
    champion: str | None,
) -> State[Refs]:
    """Write every user's list by version ``champion`` of registered model ``family``: ``top_n``.

    ModelError if its files are not as they were logged.
    """
    from tasks.promotion.model_registry import answering
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        found = None if champion is None else answering(client, family, champion)
        refs, was_there = top_n_table(config, snapshot, evaluation, found)
    by_model: dict[str, int] = refs["top_n"].metadata["users_by_model"]
    said = ", ".join(f"{users} by {model}" for model, users in by_model.items())
    obeyed = words(refs["top_n"].metadata["list_rules"])
    message = "; ".join(["lists of users: " + said, *([obeyed] if obeyed else [])])
    return finished(refs, was_there=was_there, message=message)
