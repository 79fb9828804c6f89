"""The nightly run: from raw KuaiRec files to compared models and everybody's list."""

from typing import Any, cast

from prefect import flow
from prefect.states import Completed

from flows.alert_hooks import tell_of_failure
from flows.commands.cli import flow_parameters
from flows.commands.missed_runs import skipped_if_due_again
from flows.commands.run_names import add_day, named_by
from flows.commands.temporary_files import temporary_files_under
from flows.outcomes import complaint
from flows.pipeline import check_models, ingest_files, run_night
from flows.runners.runner_of_setting import RunnerOfSetting, chosen_runner
from schemas.errors import IncompleteNightError
from schemas.settings import NEXT, NightlyConfig, checked_config
from tasks.alerts.task import note_beginning, publish_alerts
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.table_task import RunContext
from tasks.features.task import resolve_cutoffs
from tasks.monitoring.task import monitor
from tasks.promotion.task import promote
from tasks.reporting.prefect_artifacts import publish_failures, publish_gate, publish_night
from tasks.reporting.report_task import publish_report
from tasks.reporting.summary import Summary, summarise
from tasks.reporting.summary_file import check_summary
from tasks.serving.house_rules import Exclusions, read_exclusions
from tasks.serving.task import recommend_from_champion, with_list_rules
from tasks.sources.task import acquire
from tasks.tracking.next_day_task import resolve_next_day
from tasks.tracking.pending import track_night
from tasks.tracking.task import check_experiment, check_tracking
from tasks.tuning.task import resolve_settings

NAMED_BY = ("source", "as_of")
"""Settings in the name of a run."""


@flow(
    name="nightly",
    flow_run_name=named_by(*NAMED_BY),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
    task_runner=RunnerOfSetting(),
    on_failure=[tell_of_failure],
    on_crashed=[tell_of_failure],
)
@flow_parameters(NightlyConfig)
def nightly(**settings: Any) -> Summary:
    """From raw KuaiRec files to compared models and everybody's top-N list."""
    if skipped := skipped_if_due_again():
        return cast("Summary", skipped)  # Prefect takes a state for how the run has ended
    config = checked_config(settings)
    check_summary(config.summary)
    check_models(config)
    exclusions = read_exclusions(config)
    with temporary_files_under(config.root), chosen_runner(config):
        return whole_night(config, exclusions)


def whole_night(config: NightlyConfig, exclusions: Exclusions) -> Summary:
    """Do a night's work in its order."""
    run, address = RunContext(config.root, config.seed), config.tracking_address
    deleted = check_tracking(address)
    raw = acquire(run, config.source, config.scale)
    note_beginning(config.root)
    check_experiment(deleted, address, is_demo=raw.is_demo)
    tables = ingest_files(config, run, raw)
    log = tables["interactions"].ref
    as_of = resolve_next_day(config, raw, log) if config.as_of == NEXT else config.as_of
    if isinstance(as_of, str):  # Prefect takes a state for how the run has ended
        return cast(
            "Summary", Completed(name="NothingLeft", message="The log is at its end.", data=as_of)
        )
    days = resolve_cutoffs(run, log, as_of, config.backtest_days)
    add_day(days.as_of, *NAMED_BY)
    config = resolve_settings(config, raw, days.as_of)
    night = run_night(config, run, tables, days)
    snapshot = with_list_rules(config, night.snapshot, exclusions)
    evaluation = night.evaluation

    runs = track_night(config, raw, snapshot, evaluation)
    references = RunReferences(config.root)
    references.add(runs["night"], night, snapshot)
    publish_night(config, raw.source, snapshot, evaluation, runs)
    checks = monitor(config, night.backtest.as_of, snapshot, runs)["monitoring_checks"]
    promotion = promote(config, snapshot, evaluation, runs, night.failures)
    publish_gate(promotion)
    family, champion = promotion.registered_model, promotion.champion
    lists = recommend_from_champion(config, snapshot, evaluation, family, champion)["top_n"]
    references.add(runs["night"], lists)
    summary = summarise(config, raw, night, lists, runs, promotion)
    publish_report(config, night, summary, lists, checks)
    publish_alerts(config, summary, checks)
    if night.failures:
        publish_failures(config.models, night.failures)
        raise IncompleteNightError(complaint(night.failures))
    return summary
