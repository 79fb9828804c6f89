"""What a search of settings leaves: for programs as JSON, for people as text."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from pydantic import BaseModel
from rich.table import Table

from schemas.addresses import without_secrets
from schemas.artifacts import Json
from schemas.tuning_settings import TuneConfig
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.reporting.console import interval, number, signed, ways
from tasks.reporting.prefect_artifacts import experiment_of
from tasks.reporting.rendering import Printed, table
from tasks.reporting.summary import Figure
from tasks.reporting.summary_file import written
from tasks.sources.task import RawData
from tasks.tracking.links import run_page, ways_to
from tasks.tracking.tuning_task import Searched
from tasks.tuning.compare_settings import DEFAULT, optimism_of


class SettingsFigures(BaseModel):
    """Settings on one kind of users: NDCG@10, and its difference to the defaults, paired."""

    settings: str
    users: str
    n_users: int
    ndcg_at_10: Figure
    minus_default: Figure


class ModelSearch(BaseModel):
    """The search of one model: its tries, what it decided, and how far its choice was luck."""

    trials: int
    failed: int
    seconds: float
    settings: Json
    is_new: bool
    reason: str
    figures: list[SettingsFigures]
    optimism: float | None
    mlflow_run_id: str


class TuningSummary(BaseModel):
    """All searches of a run, for programs to read."""

    source: str
    is_demo: bool
    as_of: date
    models: dict[str, ModelSearch]
    tracking_uri: str
    commands: dict[str, str]


@plain_task()
def summarise_tuning(
    config: TuneConfig,
    raw: RawData,
    as_of: date,
    searches: Sequence[Searched],
    runs: Mapping[str, str],
) -> TuningSummary:
    """Gather the figures, and write them to ``config.summary`` if that is given."""
    store, first = Store(config.root), next(iter(runs.values()))
    summary = TuningSummary(
        source=raw.source,
        is_demo=raw.is_demo,
        as_of=as_of,
        models={one.found.model: _search(store, one, runs[one.found.model]) for one in searches},
        tracking_uri=without_secrets(config.tracking_address),
        commands=ways_to(run_page(experiment_of(config, first), first), config.tracking_address),
    )
    return written(summary, config.summary)


def _search(store: Store, searched: Searched, run_id: str) -> ModelSearch:
    comparison, trials = store.read(searched.comparison), searched.trials
    return ModelSearch(
        trials=len(trials),
        failed=sum(trial.ndcg is None for trial in trials),
        seconds=round(sum(trial.seconds for trial in trials), 3),
        settings=searched.found.settings,
        is_new=searched.found.is_new,
        reason=searched.found.reason,
        figures=[
            SettingsFigures(
                settings=row["settings"],
                users=row["users"],
                n_users=row["n_users"],
                ndcg_at_10=Figure(mean=row["mean"], low=row["low"], high=row["high"]),
                minus_default=Figure(
                    mean=row["difference"], low=row["difference_low"], high=row["difference_high"]
                ),
            )
            for row in comparison.filter(baseline=DEFAULT).iter_rows(named=True)
        ],
        optimism=optimism_of(comparison),
        mlflow_run_id=run_id,
    )


def rows_of(summary: TuningSummary) -> list[dict[str, str]]:
    """Return a row a model, settings and kind of users, as Prefect's page shows them."""
    return [
        {
            "model": name,
            "settings": one.settings,
            "users": f"{one.n_users} {one.users}",
            "NDCG@10": f"{number(one.ndcg_at_10.mean)} {interval(one.ndcg_at_10)}",
            "minus default": f"{signed(one.minus_default.mean)} {interval(one.minus_default)}",
        }
        for name, search in summary.models.items()
        for one in search.figures
    ]


def tuning_report(summary: TuningSummary) -> list[Printed]:
    """Lay searches out: of each what was decided, and its figures on both kinds of users."""
    heading = f"{summary.source}, as of {summary.as_of}: settings searched on validation users"
    parts = [part for name, one in summary.models.items() for part in _model(name, one)]
    return ["", heading, *parts, "", *ways(summary.commands)]


def _model(name: str, search: ModelSearch) -> Iterator[Printed]:
    failed = f", {search.failed} of them failed" if search.failed else ""
    yield ""
    yield f"{name}: {search.trials} tries{failed}, {search.seconds:.0f} s. {search.reason}"
    yield _figures(search.figures)
    if search.optimism is not None:
        yield (
            f"optimism {signed(search.optimism)}: the winner's lead over the defaults on those who"
            " chose it, less its lead on test users"
        )


def _figures(figures: Sequence[SettingsFigures]) -> Table:
    headers = ("settings", "users", "NDCG@10", "95 % interval", "minus default", "its interval")
    rows = [
        (
            one.settings.replace("_", " "),
            f"{one.n_users} {one.users.replace('_', '-')}",
            number(one.ndcg_at_10.mean),
            interval(one.ndcg_at_10),
            *(
                ("", "")
                if one.settings == DEFAULT
                else (signed(one.minus_default.mean), interval(one.minus_default))
            ),
        )
        for one in figures
    ]
    return table(headers, rows, left=("settings", "users", "95 % interval", "its interval"))
