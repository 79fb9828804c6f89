"""What a backfill leaves: for programs as JSON, for people as text."""

from collections.abc import Mapping, Sequence
from datetime import date

from pydantic import BaseModel
from rich.table import Table

from schemas.addresses import without_secrets
from schemas.artifacts import ArtifactRef, NightResult
from schemas.settings import BackfillConfig
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.evaluation.frames import challenger_of
from tasks.metrics.labels import PRIMARY
from tasks.reporting.console import interval, number, signed, ways
from tasks.reporting.prefect_artifacts import experiment_of
from tasks.reporting.rendering import Printed, table
from tasks.reporting.summary import Figure
from tasks.reporting.summary_file import written
from tasks.sources.task import RawData
from tasks.tracking.links import run_page, ways_to

K = 10


class NightPlayed(BaseModel):
    """One night: NDCG@10 of every model on the block, and where it is."""

    as_of: date
    first: str
    ndcg_at_10: dict[str, Figure]
    base_rate: float | None
    mlflow_run_id: str


class Age(BaseModel):
    """What models of one kind, so many days old, lose against new ones."""

    model: str
    test_set: str
    days_old: int
    mean: float
    fresh: float
    difference: Figure
    users: int
    days: int


class BackfillSummary(BaseModel):
    """One backfill, for programs to read."""

    source: str
    is_demo: bool
    nights: list[NightPlayed]
    staleness: list[Age]
    staleness_table: str
    tracking_uri: str
    mlflow_run_id: str
    commands: dict[str, str]


@plain_task()
def summarise_backfill(
    config: BackfillConfig,
    raw: RawData,
    nights: Sequence[NightResult],
    runs: Mapping[date, str],
    staleness: ArtifactRef,
    run_id: str,
) -> BackfillSummary:
    """Gather the figures, and write them to ``config.summary`` if that is given."""
    store = Store(config.root)
    summary = BackfillSummary(
        source=raw.source,
        is_demo=raw.is_demo,
        nights=[_night(store, night, runs[night.snapshot.as_of]) for night in nights],
        staleness=[
            Age(
                **{name: row[name] for name in Age.model_fields if name != "difference"},
                difference=Figure(mean=row["difference"], low=row["low"], high=row["high"]),
            )
            for row in store.read(staleness).iter_rows(named=True)
        ],
        staleness_table=staleness.path,
        tracking_uri=without_secrets(config.tracking_address),
        mlflow_run_id=run_id,
        commands=ways_to(run_page(experiment_of(config, run_id), run_id), config.tracking_address),
    )
    return written(summary, config.summary)


def _night(store: Store, night: NightResult, run_id: str) -> NightPlayed:
    board = store.read(night.evaluation.leaderboard).filter(label=PRIMARY)
    ndcg = board.filter(metric="ndcg", k=K).select("model", "mean", "low", "high")
    return NightPlayed(
        as_of=night.snapshot.as_of,
        first=challenger_of(night.evaluation),
        ndcg_at_10={
            row.pop("model"): Figure(**row)
            for row in ndcg.iter_rows(named=True)
            if row["model"] in night.snapshot.models
        },
        base_rate=next(iter(board.filter(metric="base_rate")["mean"]), None),
        mlflow_run_id=run_id,
    )


def backfill_report(summary: BackfillSummary) -> list[Printed]:
    """Lay a backfill out: its nights, then the worth of old models."""
    first = summary.nights[-1].first
    return [
        "",
        f"{summary.source}: {len(summary.nights)} nights",
        "",
        _nights(summary.nights, first),
        "",
        f"{first} that was not trained anew, against one that was: NDCG@10",
        _ages([age for age in summary.staleness if age.model == first]),
        "",
        f"staleness of all models: {summary.staleness_table}",
        *ways(summary.commands),
    ]


def _nights(nights: Sequence[NightPlayed], first: str) -> Table:
    headers = ("as of", "base rate", f"{first} NDCG@10", "95 % interval", "next best")
    return table(headers, map(_night_row, nights), left=("as of", "95 % interval", "next best"))


def _night_row(night: NightPlayed) -> tuple[str, ...]:
    figure = night.ndcg_at_10[night.first]
    others = {n: by.mean or 0.0 for n, by in night.ndcg_at_10.items() if n != night.first}
    best = max(others, key=others.__getitem__, default=None)
    shown = "" if best is None else f"{best} {number(others[best])}"
    figures = (number(night.base_rate), number(figure.mean), interval(figure))
    return (str(night.as_of), *figures, shown)


def _ages(ages: Sequence[Age]) -> Table:
    test_sets = {"small_matrix": "on the block", "exposed_only": "on what users were shown next"}
    by_test_set = {
        test_set: {a.days_old: a for a in ages if a.test_set == test_set} for test_set in test_sets
    }
    rows = [
        (str(days), *(_age(by_test_set[test_set].get(days)) for test_set in test_sets))
        for days in sorted({age.days_old for age in ages})
    ]
    return table(("days old", *test_sets.values()), rows, left=[*test_sets.values()])


def _age(age: Age | None) -> str:
    if age is None:
        return "-"
    if age.days_old == 0:
        return number(age.mean)
    return f"{number(age.mean)}, {signed(age.difference.mean)} {interval(age.difference)}"
