"""Alerts of a night: sent, if anything is not well, to whoever wants to hear of it."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.artifacts import ArtifactRef
from schemas.settings import NightlyConfig
from tasks.alerts.alert import night_begins, tell
from tasks.alerts.night_alerts import alerts_of
from tasks.artifacts.backend import backend_of
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.reporting.summary import Summary


def note_beginning(root: str) -> None:
    """Note that a night begins now."""
    night_begins(backend_of(root), datetime.now(UTC))


@plain_task()
def publish_alerts(config: NightlyConfig, summary: Summary, checks: ArtifactRef) -> None:
    """Tell of what is not well in a night, once; nothing where all is."""
    tell(config.root, alerts_of(summary, Store(config.root).read(checks)))
