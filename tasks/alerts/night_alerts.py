"""What a night gives reason to tell: a refused model, checks past a threshold, how it failed."""

from __future__ import annotations

from datetime import date

import polars as pl

from schemas.addresses import without_secrets
from tasks.alerts.alert import FAILED, OLD_CHAMPION, PAST_THRESHOLD, REFUSED, Alert
from tasks.monitoring.checks import AGE, describe_alerts
from tasks.reporting.summary import Summary


def alerts_of(summary: Summary, checks: pl.DataFrame) -> list[Alert]:
    """Return what there is to tell of a night that came to its end; nothing if all is well.

    ``checks`` are its table ``monitoring_checks``. A night of which models failed tells of those
    alone, when it ends.
    """
    night = f"The night of {summary.as_of} ({summary.source})"
    more = f"The night's report: {summary.report}"
    gate, alerts = summary.promotion, []
    is_old = (pl.col("measure") == AGE) & pl.col("is_alert")
    if not gate.is_promoted and not summary.failures:
        who = f"{gate.registered_model} version {gate.version} ({gate.model})"
        text = "\n".join([f"{night}: {who} is kept out.", *gate.reasons, more])
        alerts.append(Alert(REFUSED, who, text))
    if past := checks.filter(pl.col("is_alert") & ~is_old).sort("measure", "slice_value").rows():
        said = describe_alerts(checks.filter(~is_old))
        cause = " ".join([summary.mlflow_run_id, *(f"{row[0]}/{row[1]}" for row in past)])
        alerts.append(Alert(PAST_THRESHOLD, cause, f"{night} is not as usual: {said}.\n{more}"))
    if not gate.is_promoted and not (old := checks.filter(is_old)).is_empty():
        cause = f"{gate.registered_model} {gate.champion}"
        alerts.append(Alert(OLD_CHAMPION, cause, f"{night}: {describe_alerts(old)}.\n{more}"))
    return alerts


def failure(run: str, root: str, day: date, message: str) -> Alert:
    """Return what to tell of a run that failed: once a day for the same reason on the same root.

    One that was told to end where a check is past its threshold tells of that.
    """
    reason = without_secrets(next(iter(message.splitlines()), "no reason is known"))
    kind = PAST_THRESHOLD if "MonitoringAlertError" in reason else FAILED
    return Alert(kind, f"{root} {day} {reason}", f"{run} on {without_secrets(root)}: {reason}")
