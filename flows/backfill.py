"""The nights of the past, played again; and what a model is worth that is some days old."""

from datetime import timedelta
from typing import Any

from prefect import flow

from flows.commands.cli import flags, takes
from flows.commands.run import run_flow
from flows.commands.run_names import named_by
from flows.commands.temporary_files import temporary_files_under
from flows.night_process import replayed
from flows.pipeline import ingested
from schemas.settings import BackfillConfig, checked
from tasks.artifacts.table_task import Refs
from tasks.evaluation.frames import challenger_of
from tasks.evaluation.model_age_task import age, staleness
from tasks.features.backfill_dates_task import walk
from tasks.features.holdout_task import next_days
from tasks.reporting.backfill_summary import BackfillSummary, as_text, summarise_backfill
from tasks.reporting.prefect_artifacts import show_backfill
from tasks.reporting.summary import check_summary
from tasks.sources.task import acquire
from tasks.tracking.backfill_task import track_backfill
from tasks.tracking.pending import track_night
from tasks.tracking.task import check_experiment, check_tracking

PROG = "python -m flows.backfill"


@flow(
    name="backfill",
    flow_run_name=named_by("source", "from_day", "to_day"),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
@takes(BackfillConfig)
def backfill(**settings: Any) -> BackfillSummary:
    """Play the nights of the past, and measure how models age. The champion stays who it is."""
    config = checked(BackfillConfig, settings)
    check_summary(config.summary)
    with temporary_files_under(config.root):
        return nights_of_the_past(config)


def nights_of_the_past(config: BackfillConfig) -> BackfillSummary:
    """Do a backfill's work in its order."""
    root = config.root
    deleted = check_tracking(config.tracking_address)

    raw = acquire(config.source, config.scale, config.seed, root)
    check_experiment(deleted, config.tracking_address, is_demo=raw.is_demo)
    tables = ingested(config, raw)
    nights = replayed(config, tables, walk(config, tables))
    runs = {n.known.as_of: track_night(config, raw, n.known, n.verdict)["night"] for n in nights}

    days = [night.known for night in nights]
    aged: Refs = {}
    for place, day in enumerate(days):
        until = day.as_of + timedelta(days=config.every)
        shown = next_days(day.tables, day.as_of, until, root)["next_days"]
        aged[str(day.as_of)] = age(day, days[:place], shown, root)["aged"]
    curve = staleness(aged, config.seed, root)["staleness"]

    first = challenger_of(days[-1], nights[-1].verdict)
    run_id = track_backfill(config, raw, first, curve)
    show_backfill(config, curve, run_id)
    return summarise_backfill(config, raw, nights, runs, curve, run_id)


if __name__ == "__main__":
    run_flow(backfill, flags(BackfillConfig, PROG), PROG, as_text)
