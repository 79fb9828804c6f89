"""The night's report written: into the night's run in MLflow and under the root, with an index."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import polars as pl
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from schemas.artifacts import ArtifactRef, NightResult
from schemas.errors import UnreachableError
from schemas.paths import is_url
from schemas.settings import NightlyConfig
from tasks.artifacts.backend import Backend, backend_of
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames
from tasks.reporting.night_page import NIGHTS, Report, index_page
from tasks.reporting.summary import Summary

logger = logging.getLogger(__name__)


@plain_task(retry_on=UnreachableError)
def publish_report(
    config: NightlyConfig,
    night: NightResult,
    summary: Summary,
    lists: ArtifactRef,
    checks: ArtifactRef,
) -> None:
    """Write the page of a night, and the index of all nights of the root."""
    from tasks.figures.plot_nights import nights_figure
    from tasks.serving.sample_lists import sample_lists
    from tasks.tracking.night_history import figures_of_models, nights_of_kind, pictures_of
    from tasks.tracking.night_run import reachable

    store, gate, run_id = Store(config.root), summary.promotion, summary.mlflow_run_id
    watched = store.read(checks)
    with reachable(config.tracking_address) as client:
        nights = nights_of_kind(client, run_id)
        client.log_figure(run_id, nights_figure(nights, summary.source), NIGHTS)
        before = nights.filter(pl.col("as_of") < summary.as_of).tail(1)
        experiment = client.get_run(run_id).info.experiment_id
        report = Report(
            summary=summary,
            frames=EvaluationFrames.of(store, night.snapshot, night.evaluation),
            checks=watched,
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
        page = report.page().render()
        client.log_text(run_id, page, "report.html")
    write_page(backend_of(config.root), summary, watched, page)
    show(summary.report)
    logger.info("the night's report: %s", summary.report)


def write_page(backend: Backend, summary: Summary, checks: pl.DataFrame, page: str) -> None:
    """Write a page and what the index says of it, then the index of all that are there."""
    place = summary.report
    backend.write(place, page.encode())
    line = json.dumps(index_line(summary, checks), ensure_ascii=False, indent=1)
    backend.write(f"{place.removesuffix('.html')}.json", line.encode())
    folder = place.rpartition("/")[0]
    names = [name for name in backend.names(folder) if name.endswith(".json")]
    lines = [json.loads(backend.read(name)) for name in names]
    backend.write(f"{folder}/index.html", index_page(lines).render().encode())


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
