"""Promotion: the night's blend against the champion, and its place in the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from prefect.client.schemas import State
from pydantic import BaseModel

from schemas.artifacts import ArtifactRef, EvaluationTables, Failure, Snapshot
from schemas.errors import ModelError, UnreachableError
from schemas.model_settings import config_class
from schemas.settings import NightlyConfig
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames, challenger_of
from tasks.evaluation.task import load_eval_set, protocol_in
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.diagnose import diagnose
from tasks.metrics.labels import PRIMARY
from tasks.metrics.ranking import rank
from tasks.models.catalogue import Catalogue
from tasks.models.score_by_id import scores_by_id
from tasks.promotion.card_facts import ends_of, subject_of
from tasks.promotion.gate import (
    NOT_COMPARED,
    PROMOTED,
    Decision,
    GateMetrics,
    Margins,
    baseline_decision,
    both,
    decide,
    figures_of,
    refused,
)
from tasks.promotion.model_card import family_card, model_card
from tasks.serving.task import load_catalogue

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from tasks.promotion.model_registry import Champion

K = 10
MEASURED = ("per_user", "slices", "beyond_accuracy")
"""Tables of a model that its gate metrics are read off."""
Runs = Mapping[str, str]
"""MLflow's run ids by model, the parent's as ``night``."""


class Promotion(BaseModel):
    """What the gate decided, and why."""

    registered_model: str
    model: str
    version: str | None
    """None where nothing was registered."""
    is_promoted: bool
    champion: str | None
    is_news: bool
    """Not where an equal night was decided before."""
    reasons: list[str]


def settings_fingerprint(config: NightlyConfig) -> str:
    """Hash what makes another configuration: models, their settings, the backtest's length."""
    settings = {name: config.model_settings(name).model_dump(mode="json") for name in config.models}
    text = json.dumps([settings, config.backtest_days], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def gate_metrics_in(store: Store, measured: Mapping[str, ArtifactRef]) -> GateMetrics:
    """Read off what one of tonight's models was measured: per_user, slices and beyond."""
    per_user, slices, beyond_accuracy = (store.read(measured[table]) for table in MEASURED)
    ndcg = per_user.filter(pl.col("is_test"), label=PRIMARY, metric="ndcg", k=K)["value"]
    (coverage,) = beyond_accuracy.filter(measure="coverage")["value"]
    return GateMetrics(ndcg.to_numpy(), coverage or 0.0, slices)


def gate_metrics_again(snapshot: Snapshot, champion: Champion, seed: int, root: str) -> GateMetrics:
    """Measure a former champion on tonight's test users, in the way of tonight's models.

    Users are those of ``gate_metrics_in``, in the same order.
    """
    store = Store(root)
    eval_set = load_eval_set(store, snapshot.tables["eval_pairs"]).of_test_users
    users, videos = (store.read(snapshot.tables[f"{kind}_features"]) for kind in ("user", "video"))
    its_ids = (champion.catalogue.user_ids, champion.catalogue.video_ids)
    user_ids = users["user_id"].to_numpy()[eval_set.user_idx]
    scores = scores_by_id(
        champion.model, its_ids, user_ids, videos["video_id"].to_numpy()[eval_set.video_idx]
    )
    ranked = rank(scores, eval_set.candidates, K)
    ndcg = accuracy_at_k(ranked, eval_set.enjoyed, [K], eval_set.candidates).of("ndcg", K)
    parts = diagnose(eval_set, scores, users, videos, seed)
    (coverage,) = parts["beyond_accuracy"].filter(measure="coverage")["value"]
    return GateMetrics(ndcg[~np.isnan(ndcg)], coverage or 0.0, parts["slices"])


def decided(
    config: NightlyConfig,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    former: Champion | None,
) -> Decision:
    """Compare the night's challenger with popularity and the former champion, and decide."""
    store, seed = Store(config.root), config.seed

    def tonight(name: str) -> GateMetrics:
        return gate_metrics_in(
            store, {table: getattr(evaluation, table)[name] for table in MEASURED}
        )

    name = challenger_of(evaluation)
    if config_class(name).is_noise or config_class(name).is_control:
        return refused(f"{name} is there to be beaten: add popularity to --models")
    challenger = tonight(name)
    baseline = next((rival for rival in ("popularity", "random") if rival in snapshot.models), None)
    if baseline is None:
        return refused("there is neither popularity nor random to beat: add popularity to --models")
    above_baseline = baseline_decision(challenger, tonight(baseline), baseline, seed)
    own = ends_of(store.read(evaluation.leaderboard), name)
    if former is None:
        return replace(above_baseline, figures=own)
    reason = why_not_compared(snapshot, former, load_catalogue(store, snapshot.tables))
    if reason is not None:
        return refused(reason)
    again = gate_metrics_again(snapshot, former, seed, config.root)
    margins = Margins(config.promotion_margin, config.max_coverage_drop, config.max_slice_drop)
    is_refresh = former.tags["grail.settings"] == settings_fingerprint(config)
    decision = decide(challenger, again, margins, is_refresh=is_refresh, seed=seed)
    decision = both(decision, above_baseline)
    decision = replace(decision, figures=own | figures_of(again, "champion", seed))
    if former.tags["grail.protocol"] != protocol_fingerprint(evaluation):
        note = "the champion, promoted under another protocol, was measured again under this one"
        decision = replace(decision, reasons=(*decision.reasons, note))
    return decision


def why_not_compared(snapshot: Snapshot, former: Champion, tonight: Catalogue) -> str | None:
    """Say why a champion must not be compared with tonight's models, and what to do; or None."""
    who = f"the champion, {former.name} version {former.version},"
    if former.tags["grail.as_of"] > str(snapshot.as_of):
        return (
            f"{who} is of a later day, {former.tags['grail.as_of']}: no night before that is"
            " promoted. If"
            f" that day is wrong, {former.way_out}"
        )
    if not former.catalogue.is_of_the_data_of(tonight):
        shared = former.catalogue.shared_with(tonight)
        return (
            f"{who} is of other data, with which tonight's shares {shared:.0%} of the views. Give"
            f" this data a champion of its own with --registered-model, or {former.way_out}"
        )
    return None


def protocol_fingerprint(evaluation: EvaluationTables) -> str:
    """Return the fingerprint of how a night's figures are measured."""
    return protocol_in({"leaderboard": evaluation.leaderboard}).fingerprint


def registered_tonight(
    client: MlflowClient,
    config: NightlyConfig,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    runs: Runs,
) -> tuple[ModelVersion, bool]:
    """Return the night's version, and whether it was there; if not, decide and register it.

    A night that was not compared with the champion is decided again: it may be another by now.
    """
    from tasks.promotion.decision_record import decision_tags, log_decision
    from tasks.promotion.model_registry import (
        champion,
        decide_again,
        register,
        registered,
        registered_name,
    )
    from tasks.tracking.names import NIGHT

    family = registered_name(client, config, runs["night"])
    night = client.get_run(runs["night"]).data.tags[NIGHT]
    found = registered(client, family, night)
    if found is not None and found.tags["grail.decision"] != NOT_COMPARED:
        return found, True
    try:
        decision = decided(config, snapshot, evaluation, champion(client, family))
    except ModelError as error:
        decision = refused(str(error))
    log_decision(client, runs["night"], decision)
    name = challenger_of(evaluation)
    source = client.get_run(runs["night"]).data.tags["grail.source"]
    subject = subject_of(config, source, snapshot, evaluation, name, runs[name])
    frames = EvaluationFrames.of(Store(config.root), snapshot, evaluation)
    card = model_card(subject, frames, decision.outcome, decision.reasons)
    if found is not None:
        return decide_again(client, found, decision, card)
    tags = {
        NIGHT: night,
        "grail.model": name,
        "grail.settings": settings_fingerprint(config),
        "grail.content": snapshot.models[name].content,
        "grail.protocol": protocol_fingerprint(evaluation),
        "grail.as_of": str(snapshot.as_of),
        **decision_tags(decision),
    }
    about = family_card(family, is_demo=subject.is_demo)
    return register(client, family, runs[name], tags, card, about), False


def registered_or_promoted(
    client: MlflowClient,
    config: NightlyConfig,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    runs: Runs,
) -> tuple[Promotion, bool]:
    """Register the night's version, make it champion if it may be; was that decided before?"""
    from tasks.promotion.decision_record import reasons_of
    from tasks.promotion.model_registry import CHAMPION, set_champion, version_at
    from tasks.tracking.names import WAS_CHAMPION

    version, was_there = registered_tonight(client, config, snapshot, evaluation, runs)
    is_promoted = version.tags["grail.decision"] == PROMOTED
    # A run killed after registering has not made champion; one rolled back since must stay so
    is_new_champion = is_promoted and WAS_CHAMPION not in version.tags
    if is_new_champion:
        set_champion(client, version.name, str(version.version))
    now = version_at(client, version.name, CHAMPION)
    promotion = Promotion(
        registered_model=version.name,
        model=version.tags["grail.model"],
        version=str(version.version),
        is_promoted=is_promoted,
        champion=None if now is None else str(now.version),
        is_news=is_new_champion or not was_there,
        reasons=reasons_of(version),
    )
    return promotion, was_there


def not_registered(
    client: MlflowClient, family: str, challenger: str, failures: Sequence[Failure]
) -> Promotion:
    """Say that the champion stays who it is, as models of the night failed."""
    from tasks.promotion.model_registry import CHAMPION, version_at

    now = version_at(client, family, CHAMPION)
    failed = ", ".join(dict.fromkeys(failure.model for failure in failures))
    return Promotion(
        registered_model=family,
        model=challenger,
        version=None,
        is_promoted=False,
        champion=None if now is None else str(now.version),
        is_news=True,
        reasons=[f"not all models were made ({failed}): the champion stays"],
    )


@plain_task("{snapshot.as_of}", retry_on=UnreachableError)
def promote(
    config: NightlyConfig,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    runs: Runs,
    failures: Sequence[Failure],
) -> State[Promotion]:
    """Register tonight's blend, and make it the champion if it is really better.

    A night of which a model failed registers nothing.
    """
    from tasks.promotion.model_registry import registered_name
    from tasks.tracking.night_run import reachable

    with Store(config.root).turn("tracking"), reachable(config.tracking_address) as client:
        if failures:
            family = registered_name(client, config, runs["night"])
            challenger, was_there = challenger_of(evaluation), False
            promotion = not_registered(client, family, challenger, failures)
        else:
            promotion, was_there = registered_or_promoted(
                client, config, snapshot, evaluation, runs
            )
    return finished(promotion, was_there=was_there, message="; ".join(promotion.reasons))
