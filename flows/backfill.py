"""The nights of the past, played again; and what a model is worth that is some days old."""

from datetime import timedelta
from typing import Any

from prefect import flow

from flows.commands.cli import flow_parameters
from flows.commands.run_names import named_by
from flows.commands.temporary_files import temporary_files_under
from flows.night_process import run_nights
from flows.pipeline import check_models, ingest_files, known_by, made
from flows.runners.runner_of_setting import RunnerOfSetting, chosen_runner
from schemas.artifacts import Snapshot
from schemas.settings import BackfillConfig
from schemas.validation import checked
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.table_task import Handle, RunContext
from tasks.evaluation.frames import challenger_of
from tasks.evaluation.model_age_task import compare_ages, inputs_of_ages, score_old_models
from tasks.features.backfill_dates_task import backfill_dates
from tasks.features.task import build_holdout
from tasks.reporting.backfill_summary import BackfillSummary, summarise_backfill
from tasks.reporting.prefect_artifacts import publish_backfill
from tasks.reporting.summary_file import check_summary
from tasks.sources.task import acquire
from tasks.tracking.backfill_task import track_backfill
from tasks.tracking.pending import track_night
from tasks.tracking.task import check_experiment, check_tracking


@flow(
    name="backfill",
    flow_run_name=named_by("source", "from_day", "to_day"),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
    task_runner=RunnerOfSetting(),
)
@flow_parameters(BackfillConfig)
def backfill(**settings: Any) -> BackfillSummary:
    """Play the nights of the past, and measure how models age. The champion stays who it is."""
    config = checked(BackfillConfig, settings)
    check_summary(config.summary)
    check_models(config)
    with temporary_files_under(config.root), chosen_runner(config) as joined:
        return nights_of_the_past(config, joined)


def nights_of_the_past(config: BackfillConfig, joined: BackfillConfig) -> BackfillSummary:
    """Do a backfill's work in its order; ``joined`` has the address of a cluster that runs it."""
    run = RunContext(config.root, config.seed)
    deleted = check_tracking(config.tracking_address)

    raw = acquire(run, config.source, config.scale)
    check_experiment(deleted, config.tracking_address, is_demo=raw.is_demo)
    tables = made(ingest_files(config, run, raw))
    nights = run_nights(joined, run, tables, backfill_dates(config, tables["interactions"]))
    runs = {
        n.snapshot.as_of: track_night(config, raw, n.snapshot, n.evaluation)["night"]
        for n in nights
    }

    references = RunReferences(config.root)
    for night in nights:
        references.add(runs[night.snapshot.as_of], night)

    snapshots: dict[str, Snapshot] = {}
    scores: dict[str, Handle] = {}
    for snapshot in (night.snapshot for night in nights):
        day, its = str(snapshot.as_of), run.at(snapshot.as_of)
        until = snapshot.as_of + timedelta(days=config.every_days)
        log = known_by(run.at(until), {"interactions": Handle(tables, "interactions")})
        holdout = build_holdout.submit(its, {**snapshot.tables, **log}, until=until)["holdout"]
        snapshots[day] = snapshot
        scored = score_old_models.submit(its, inputs_of_ages(snapshots, holdout))
        scores[f"scores/{day}"] = scored["model_age_scores"]
    curve = compare_ages.submit(run, scores)["staleness"].ref

    first = challenger_of(nights[-1].evaluation)
    run_id = track_backfill(config, raw, first, curve)
    references.add(run_id, curve)
    publish_backfill(config, curve, run_id)
    return summarise_backfill(config, raw, nights, runs, curve, run_id)
