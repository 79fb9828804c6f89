"""The nightly run: from raw KuaiRec files to compared models and everybody's list."""

from typing import Any

from prefect import flow

from flows.commands.cli import flags, takes
from flows.commands.run import run_flow
from flows.commands.run_names import add_day, named_by
from flows.commands.temporary_files import temporary_files_under
from flows.pipeline import ingested, play
from schemas.settings import NightlyConfig, checked_config
from tasks.features.task import cut
from tasks.monitoring.task import watch
from tasks.promotion.task import gate
from tasks.reporting.console import as_text
from tasks.reporting.prefect_artifacts import show_gate, show_night
from tasks.reporting.summary import Summary, check_summary, summarise
from tasks.serving.task import recommend
from tasks.sources.task import acquire
from tasks.tracking.pending import track_night
from tasks.tracking.task import check_experiment, check_tracking

PROG = "python -m flows.nightly"
NAMED_BY = ("source", "as_of")
"""Settings in the name of a run."""


@flow(
    name="nightly",
    flow_run_name=named_by(*NAMED_BY),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
@takes(NightlyConfig)
def nightly(**settings: Any) -> Summary:
    """From raw KuaiRec files to compared models and everybody's top-N list."""
    config = checked_config(settings)
    check_summary(config.summary)
    with temporary_files_under(config.root):
        return whole_night(config)


def whole_night(config: NightlyConfig) -> Summary:
    """Do a night's work in its order."""
    root, seed, address = config.root, config.seed, config.tracking_address
    deleted = check_tracking(address)
    raw = acquire(config.source, config.scale, seed, root)
    check_experiment(deleted, address, is_demo=raw.is_demo)
    tables = ingested(config, raw)
    days = cut(tables, config.as_of, config.window_days, root)
    add_day(days.as_of, *NAMED_BY)
    played = play(config, tables, days)
    known, verdict = played.known, played.verdict

    runs = track_night(config, raw, known, verdict)
    show_night(config, raw.source, known, verdict, runs)
    watch(config, played.past.as_of, known, runs)
    promotion = gate(config, known, verdict, runs)
    show_gate(promotion)
    family, champion = promotion.registered_model, promotion.champion
    lists = recommend(config, known, verdict, family, champion)["top_n"]
    return summarise(config, raw, played.past, known, verdict, lists, runs, promotion)


if __name__ == "__main__":
    run_flow(nightly, flags(NightlyConfig, PROG), PROG, as_text)
