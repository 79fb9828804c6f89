"""What was decided of a version, as MLflow keeps it: tags, figures of a night, lines on a card."""

from __future__ import annotations

import time
from datetime import datetime

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion

from tasks.features.cutoff import SHANGHAI
from tasks.promotion.gate import Decision
from tasks.promotion.model_card import LONGEST
from tasks.tracking.names import REASONS

LONGEST_TAG = 5000
"""Characters that MLflow keeps of a version's tag."""


def decision_tags(decision: Decision) -> dict[str, str]:
    """Return what a version's tags say of a decision."""
    reasons = "\n".join(decision.reasons)[:LONGEST_TAG]
    return {"grail.decision": decision.outcome, REASONS: reasons}


def reasons_of(version: ModelVersion) -> list[str]:
    """Return why a version was promoted or not; one of before there were cards has nothing else."""
    return str(version.tags.get(REASONS, version.description or "")).splitlines()


def log_decision(client: MlflowClient, run_id: str, decision: Decision) -> None:
    """Write what was decided, and what was measured for it, to a night's run."""
    client.set_tag(run_id, "grail.decision", decision.outcome)
    now = int(time.time() * 1000)
    if decision.figures:
        client.log_batch(run_id, [Metric(k, v, now, 0) for k, v in decision.figures.items()])


def add_to_card(client: MlflowClient, version: ModelVersion, what: str) -> None:
    """Add to a version's card what a person did with it, and when; as far as there is room."""
    day = datetime.now(SHANGHAI).date()
    card = (
        f"{version.description or ''}\n\n**By hand**: on {day} `python -m flows rollback` {what}."
    )
    if len(card) <= LONGEST:
        client.update_model_version(version.name, version.version, description=card)
