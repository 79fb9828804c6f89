"""Promotion: the night's blend against the champion on one exam, and its place in the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from prefect.client.schemas import State
from pydantic import BaseModel

from schemas.artifacts import Known, Verdict
from schemas.config import NightlyConfig
from schemas.errors import ModelError, TrackingError
from tasks.evaluate import load_exam, protocol_in
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.block import Exam
from tasks.metrics.dissection import dissected
from tasks.metrics.gate import Decision, Margins, Standing, decide, first_decision, refused
from tasks.metrics.ranking import rank
from tasks.models.elsewhere import scores_by_id
from tasks.steps import settled, step
from tasks.store import Store
from tasks.train import load_model
from tasks.verdict import challenger_of

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from tasks.champions import Champion

K = 10
Runs = Mapping[str, str]
"""MLflow's run ids by model, the parent's as ``night``."""


class Promotion(BaseModel):
    """What the gate decided, and why."""

    registered_model: str
    model: str
    version: str
    is_promoted: bool
    champion: str | None
    reasons: list[str]


def settings_fingerprint(config: NightlyConfig) -> str:
    """Hash what makes another configuration: models, their settings, the rehearsal's length."""
    settings = {name: config.model_settings(name).model_dump(mode="json") for name in config.models}
    text = json.dumps([settings, config.window_days], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Board:
    """Tonight's exam of test users, on which every model is measured in the same way."""

    def __init__(self, known: Known, seed: int, root: str) -> None:
        """Read the exam and the feature tables."""
        store = Store(root)
        self.exam: Exam = load_exam(root, known.tables["cells"]).of_test_users
        self.users = store.read(known.tables["user_features"])
        self.videos = store.read(known.tables["video_features"])
        self.seed = seed

    @property
    def ids(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids of the exam's users and videos."""
        return (
            self.users["user_id"].to_numpy()[self.exam.user_idx],
            self.videos["video_id"].to_numpy()[self.exam.video_idx],
        )

    def standing(self, scores: NDArray[np.float32]) -> Standing:
        """Measure scores (n, m) of the exam's cells."""
        ranked = rank(scores, self.exam.candidates, K)
        accuracy = accuracy_at_k(ranked, self.exam.enjoyed, [K], self.exam.candidates)
        parts = dissected(self.exam, scores, self.users, self.videos, self.seed)
        (coverage,) = parts["beyond"].filter(measure="coverage")["value"]
        return Standing(accuracy.of("ndcg", K), coverage or 0.0, parts["slices"])


def decided(
    config: NightlyConfig, known: Known, name: str, former: Champion | None, protocol: str
) -> Decision:
    """Measure tonight's model called ``name`` and the former champion on one exam, and decide."""
    board = Board(known, config.seed, config.root)
    store = Store(config.root)

    def tonight(model: str) -> Standing:
        scores = load_model(store, known.models[model]).score(board.exam.user_idx)
        return board.standing(np.ascontiguousarray(scores[:, board.exam.video_idx]))

    if former is None:
        floor = next((rival for rival in ("popularity", "random") if rival in known.models), None)
        if floor is None:
            return refused("there is neither a champion nor popularity or random to beat")
        return first_decision(tonight(name), tonight(floor), floor, config.seed)
    if former.tags["as_of"] > str(known.as_of):
        return refused(f"it is older than the champion, which is as of {former.tags['as_of']}")
    its_ids = (former.catalogue.user_ids, former.catalogue.video_ids)
    again = board.standing(scores_by_id(former.model, its_ids, *board.ids))
    margins = Margins(config.refresh_margin, config.max_coverage_drop, config.max_slice_drop)
    is_refresh = former.tags["grail.settings"] == settings_fingerprint(config)
    decision = decide(tonight(name), again, margins, is_refresh=is_refresh, seed=config.seed)
    if former.tags["protocol"] != protocol:
        note = "the champion, promoted under another protocol, was measured again under this one"
        decision = replace(decision, reasons=(*decision.reasons, note))
    return decision


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
    protocol = protocol_in({"leaderboard": verdict.leaderboard}).fingerprint
    try:
        with champion(client, family) as former:
            decision = decided(config, known, name, former, protocol)
    except ModelError as error:
        decision = refused(f"the champion cannot be loaded to compare with ({error})")
    tags = {
        NIGHT: night,
        "grail.model": name,
        "grail.settings": settings_fingerprint(config),
        "protocol": protocol,
        "as_of": str(known.as_of),
        "decision": "promoted" if decision.is_promoted else "kept out",
    }
    return register(client, family, runs[name], tags, "\n".join(decision.reasons)), False


@step("gate", "gate-{known.as_of}", retry_on=TrackingError)
def gate(config: NightlyConfig, known: Known, verdict: Verdict, runs: Runs) -> State[Promotion]:
    """Register tonight's blend, and make it the champion if it is really better."""
    from tasks.champions import CHAMPION, CROWNED, crown, version_at
    from tasks.runs import reachable

    with reachable(config.tracking_address) as client:
        version, was_there = registered_tonight(client, config, known, verdict, runs)
        is_promoted = version.tags["decision"] == "promoted"
        # A run killed after registering has not crowned; one rolled back since must stay so
        if is_promoted and CROWNED not in version.tags:
            crown(client, version.name, str(version.version))
        now = version_at(client, version.name, CHAMPION)
    promotion = Promotion(
        registered_model=version.name,
        model=version.tags["grail.model"],
        version=str(version.version),
        is_promoted=is_promoted,
        champion=None if now is None else str(now.version),
        reasons=(version.description or "").splitlines(),
    )
    return settled(promotion, was_there=was_there, message="; ".join(promotion.reasons))
