"""The night's report written: into the night's run in MLflow and under the root, with an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import polars as pl
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, NightResult
from schemas.errors import UnreachableError
from schemas.paths import is_url
from schemas.settings import NightlyConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.code_fingerprint import ROOMS, code_hash
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames
from tasks.reporting.night_page import NIGHTS, Report
from tasks.reporting.page import TEMPLATE
from tasks.reporting.report_files import MADE_FROM, is_written, write_page
from tasks.reporting.summary import Summary


@plain_task(retry_on=UnreachableError)
def publish_report(
    config: NightlyConfig,
    night: NightResult,
    summary: Summary,
    lists: ArtifactRef,
    checks: ArtifactRef,
) -> State[str]:
    """Write the page of a night, and the index of all nights, unless they are there; return it."""
    from tasks.tracking.night_history import nights_of_kind
    from tasks.tracking.night_run import reachable

    store, files = Store(config.root), backend_of(config.root)
    with reachable(config.tracking_address) as client:
        nights = nights_of_kind(client, summary.mlflow_run_id)
        made_from = fingerprint_of(summary, nights, lists, checks)
        was_there = is_written(files, summary.report, made_from)
        if not was_there:
            watched = store.read(checks)
            page = page_of(client, store, night, summary, lists, watched, nights)
            client.log_text(summary.mlflow_run_id, page, "report.html")
            line = {**index_line(summary, watched), MADE_FROM: made_from}
            write_page(files, summary.report, page, line)
    show(summary.report)
    said = f"the night's report: {summary.report}"
    return finished(summary.report, was_there=was_there, message=said)


def fingerprint_of(
    summary: Summary, nights: pl.DataFrame, lists: ArtifactRef, checks: ArtifactRef
) -> str:
    """Return a hash of all that decides what a page says: figures, runs, lists, and its code."""
    shown = {
        "code": code_hash(*ROOMS),
        "template": hashlib.sha256(TEMPLATE.read_bytes()).hexdigest(),
        # Whether a verdict is news is said of a run of the flow, not of the night
        "summary": summary.model_dump(mode="json", exclude={"promotion": {"is_news"}}),
        "nights": nights.write_json(),
        "tables": [lists.content, checks.content],
    }
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def page_of(
    client: Any,
    store: Store,
    night: NightResult,
    summary: Summary,
    lists: ArtifactRef,
    checks: pl.DataFrame,
    nights: pl.DataFrame,
) -> str:
    """Return a night's page, by a client of MLflow.

    The picture of the nights until then goes into the night's run.
    """
    from tasks.figures.plot_nights import nights_figure
    from tasks.serving.sample_lists import sample_lists
    from tasks.tracking.night_history import figures_of_models, pictures_of

    gate, run_id = summary.promotion, summary.mlflow_run_id
    client.log_figure(run_id, nights_figure(nights, summary.source), NIGHTS)
    before = nights.filter(pl.col("as_of") < summary.as_of).tail(1)
    experiment = client.get_run(run_id).info.experiment_id
    report = Report(
        summary=summary,
        frames=EvaluationFrames.of(store, night.snapshot, night.evaluation),
        checks=checks,
        before={
            name: figure
            for earlier in before["run_id"]
            for name, figure in figures_of_models(client, experiment, earlier).items()
        },
        before_day=", ".join(map(str, before["as_of"])),
        samples=sample_lists(
            client, store, night.snapshot, lists, gate.registered_model, gate.champion
        ),
        pictures=pictures_of(client, run_id),
    )
    return report.page().render()


def index_line(summary: Summary, checks: pl.DataFrame) -> Mapping[str, Any]:
    """Return what the index says of a night."""
    gate, best = summary.promotion, summary.models[summary.choice.model].metrics["ndcg_at_10"]
    return {
        "as_of": str(summary.as_of),
        "page": summary.report.rpartition("/")[2],
        "source": summary.source,
        "model": summary.choice.model,
        **best.model_dump(),
        "outcome": "promoted" if gate.is_promoted else "kept out",
        "champion": gate.champion or "nobody",
        "alerts": int(checks["is_alert"].sum()),
    }


def show(place: str) -> None:
    """Show the way to the page on Prefect's: a browser opens a file only if a person asks it to."""
    said = "The night's report"
    if is_url(place):
        create_link_artifact(link=place, link_text=said, key="report", description=said)
        return
    create_markdown_artifact(markdown=f"`{place}`\n", key="report", description=said)
