"""Promotion: the night's blend against the champion on one exam, and its place in the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from prefect.client.schemas import State
from pydantic import BaseModel

from schemas.artifacts import ArtifactRef, Known, Verdict
from schemas.config import NightlyConfig
from schemas.errors import ModelError, UnreachableError
from tasks.evaluate import load_exam, protocol_in
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.block import PRIMARY
from tasks.metrics.dissection import dissected
from tasks.metrics.gate import Decision, Margins, Standing, decide, first_decision, refused
from tasks.metrics.ranking import rank
from tasks.models.elsewhere import scores_by_id
from tasks.steps import settled, step
from tasks.store import Store
from tasks.verdict import challenger_of

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from tasks.champions import Champion

K = 10
MEASURED = ("per_user", "slices", "beyond")
"""Tables of a model that its standing is read off."""
Runs = Mapping[str, str]
"""MLflow's run ids by model, the parent's as ``night``."""


class Promotion(BaseModel):
    """What the gate decided, and why."""

    registered_model: str
    model: str
    version: str
    is_promoted: bool
    champion: str | None
    is_news: bool
    """Not where an equal night was decided before."""
    reasons: list[str]


def settings_fingerprint(config: NightlyConfig) -> str:
    """Hash what makes another configuration: models, their settings, the rehearsal's length."""
    settings = {name: config.model_settings(name).model_dump(mode="json") for name in config.models}
    text = json.dumps([settings, config.window_days], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def standing_in(store: Store, measured: Mapping[str, ArtifactRef]) -> Standing:
    """Read off what one of tonight's models was measured: per_user, slices and beyond."""
    per_user, slices, beyond = (store.read(measured[table]) for table in MEASURED)
    ndcg = per_user.filter(pl.col("is_test"), label=PRIMARY, metric="ndcg", k=K)["value"]
    (coverage,) = beyond.filter(measure="coverage")["value"]
    return Standing(ndcg.to_numpy(), coverage or 0.0, slices)


def standing_again(known: Known, champion: Champion, seed: int, root: str) -> Standing:
    """Measure a former champion on tonight's exam of test users, in the way of tonight's models.

    Users are those of ``standing_in``, in the same order.
    """
    store, exam = Store(root), load_exam(root, known.tables["cells"]).of_test_users
    users, videos = (store.read(known.tables[f"{kind}_features"]) for kind in ("user", "video"))
    its_ids = (champion.catalogue.user_ids, champion.catalogue.video_ids)
    user_ids = users["user_id"].to_numpy()[exam.user_idx]
    scores = scores_by_id(
        champion.model, its_ids, user_ids, videos["video_id"].to_numpy()[exam.video_idx]
    )
    ranked = rank(scores, exam.candidates, K)
    ndcg = accuracy_at_k(ranked, exam.enjoyed, [K], exam.candidates).of("ndcg", K)
    parts = dissected(exam, scores, users, videos, seed)
    (coverage,) = parts["beyond"].filter(measure="coverage")["value"]
    return Standing(ndcg[~np.isnan(ndcg)], coverage or 0.0, parts["slices"])


def decided(
    config: NightlyConfig,
    known: Known,
    verdict: Verdict,
    former: Champion | None,
) -> Decision:
    """Compare the night's challenger with the former champion on one exam, and decide."""
    store, seed = Store(config.root), config.seed

    def tonight(name: str) -> Standing:
        return standing_in(store, {table: getattr(verdict, table)[name] for table in MEASURED})

    challenger = tonight(challenger_of(known, verdict))
    if former is None:
        floor = next((rival for rival in ("popularity", "random") if rival in known.models), None)
        if floor is None:
            return refused("there is neither a champion nor popularity or random to beat")
        return first_decision(challenger, tonight(floor), floor, seed)
    if former.tags["as_of"] > str(known.as_of):
        return refused(f"it is older than the champion, which is as of {former.tags['as_of']}")
    again = standing_again(known, former, seed, config.root)
    margins = Margins(config.refresh_margin, config.max_coverage_drop, config.max_slice_drop)
    is_refresh = former.tags["grail.settings"] == settings_fingerprint(config)
    decision = decide(challenger, again, margins, is_refresh=is_refresh, seed=seed)
    if former.tags["protocol"] != protocol_fingerprint(verdict):
        note = "the champion, promoted under another protocol, was measured again under this one"
        decision = replace(decision, reasons=(*decision.reasons, note))
    return decision


def protocol_fingerprint(verdict: Verdict) -> str:
    """Return the fingerprint of how a night's figures are measured."""
    return protocol_in({"leaderboard": verdict.leaderboard}).fingerprint


def registered_tonight(
    client: MlflowClient, config: NightlyConfig, known: Known, verdict: Verdict, runs: Runs
) -> tuple[ModelVersion, bool]:
    """Return the night's version, and whether it was there; if not, decide and register it."""
    from tasks.champions import champion, register, registered
    from tasks.runs import NIGHT

    family = client.get_experiment(client.get_run(runs["night"]).info.experiment_id).name
    night = client.get_run(runs["night"]).data.tags[NIGHT]
    found = registered(client, family, night)
    if found is not None:
        return found, True
    name = challenger_of(known, verdict)
    try:
        decision = decided(config, known, verdict, champion(client, family))
    except ModelError as error:
        decision = refused(str(error))
    tags = {
        NIGHT: night,
        "grail.model": name,
        "grail.settings": settings_fingerprint(config),
        "protocol": protocol_fingerprint(verdict),
        "as_of": str(known.as_of),
        "decision": "promoted" if decision.is_promoted else "kept out",
    }
    return register(client, family, runs[name], tags, "\n".join(decision.reasons)), False


@step("gate", "gate-{known.as_of}", retry_on=UnreachableError)
def gate(config: NightlyConfig, known: Known, verdict: Verdict, runs: Runs) -> State[Promotion]:
    """Register tonight's blend, and make it the champion if it is really better."""
    from tasks.champions import CHAMPION, CROWNED, crown, version_at
    from tasks.runs import reachable

    with Store(config.root).turn("tracking"), reachable(config.tracking_address) as client:
        version, was_there = registered_tonight(client, config, known, verdict, runs)
        is_promoted = version.tags["decision"] == "promoted"
        # A run killed after registering has not crowned; one rolled back since must stay so
        is_crowned_now = is_promoted and CROWNED not in version.tags
        if is_crowned_now:
            crown(client, version.name, str(version.version))
        now = version_at(client, version.name, CHAMPION)
    promotion = Promotion(
        registered_model=version.name,
        model=version.tags["grail.model"],
        version=str(version.version),
        is_promoted=is_promoted,
        champion=None if now is None else str(now.version),
        is_news=is_crowned_now or not was_there,
        reasons=(version.description or "").splitlines(),
    )
    return settled(promotion, was_there=was_there, message="; ".join(promotion.reasons))
