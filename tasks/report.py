"""What a run leaves for people and programs: a table on the screen, figures and paths as JSON."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from schemas.artifacts import ArtifactRef
from schemas.config import NightlyConfig
from schemas.errors import SettingError
from tasks.acquire import RawData
from tasks.metrics.block import PRIMARY
from tasks.store import DATA, Store


class Figure(BaseModel):
    """A mean over test users with its 95 % interval; null where it is not defined."""

    mean: float | None
    low: float | None
    high: float | None


class ModelSummary(BaseModel):
    """One model: what it achieved by the primary label, and what it cost."""

    metrics: dict[str, Figure]
    seconds: float
    peak_mib: float
    coverage_at_10: float
    served_users: float
    served_cells: float
    artifact: str
    mlflow_run_id: str


class Summary(BaseModel):
    """One night, for programs to read."""

    source: str
    is_demo: bool
    as_of: date
    missing: dict[str, str]
    base_rate: Figure
    oracle: dict[str, Figure]
    models: dict[str, ModelSummary]
    order_by_tune_users: list[str]
    test_users: int
    rows: dict[str, int]
    counts: dict[str, dict[str, int]]
    artifacts: dict[str, str]
    top_n: str
    tracking_uri: str
    mlflow_run_id: str


def check_summary(summary: str | None) -> None:
    """Make the folder of the summary, so that a wrong path stops a run before any work.

    SettingError if that cannot be.
    """
    if summary is None:
        return
    try:
        Path(summary).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"summary: cannot write {summary}: {error}") from error


@task(name="summarise", task_run_name="summarise", cache_policy=NO_CACHE)
def summarise(
    config: NightlyConfig,
    raw: RawData,
    as_of: date,
    tables: Mapping[str, ArtifactRef],
    models: Mapping[str, ArtifactRef],
    evaluations: Mapping[str, ArtifactRef],
    leaderboard: ArtifactRef,
    lists: ArtifactRef,
    runs: Mapping[str, str],
) -> Summary:
    """Gather a night's figures and paths, and write them to ``config.summary`` if that is given."""
    board = Store(config.root).read(leaderboard).filter(label=PRIMARY)
    figures = {model: _figures(board.filter(model=model)) for model in evaluations}
    summary = Summary(
        source=raw.source,
        is_demo=raw.is_demo,
        as_of=as_of,
        missing=raw.costs_of_missing,
        base_rate=figures["oracle"].pop("base_rate_at_0"),
        oracle=figures["oracle"],
        models={
            name: ModelSummary(
                metrics=figures[name],
                seconds=ref.facts["seconds"],
                peak_mib=ref.facts["peak_mib"],
                coverage_at_10=evaluations[name].facts["coverage_at_10"],
                served_users=evaluations[name].facts["served_users"],
                served_cells=evaluations[name].facts["served_cells"],
                artifact=ref.path,
                mlflow_run_id=runs[name],
            )
            for name, ref in models.items()
        },
        order_by_tune_users=leaderboard.facts["order_by_tune_users"],
        test_users=int(board["users"].max()),  # type: ignore[arg-type]  # a column of ints
        rows={name: ref.rows for name, ref in tables.items() if ref.rows is not None},
        counts={n: ref.facts["counts"] for n, ref in tables.items() if "counts" in ref.facts},
        artifacts={name: ref.path for name, ref in [*tables.items(), ("leaderboard", leaderboard)]},
        top_n=f"{lists.path}/{DATA}",
        tracking_uri=config.tracking_address,
        mlflow_run_id=runs["night"],
    )
    if config.summary is not None:
        target = Path(config.summary)
        part = target.with_name(f".{target.name}.part")
        part.write_text(summary.model_dump_json(indent=2) + "\n")
        part.replace(target)
    return summary


def as_text(summary: Summary) -> str:
    """Lay a night out for the screen: one line a model, best first, and where to go from there."""
    header = f"{'model':<12}{'P@10':>7}{'R@10':>8}{'NDCG@10':>9}   {'95 % interval':<16}"
    lines = [
        "",
        (
            f"{summary.source}, as of {summary.as_of}: {summary.test_users} test users,"
            f" base rate {_number(summary.base_rate.mean)}"
        ),
        "",
        header + f"{'coverage':>8}{'served':>8}{'seconds':>9}{'MiB':>7}",
    ]
    by_ndcg = sorted(
        summary.models.items(), key=lambda m: m[1].metrics["ndcg_at_10"].mean or 0, reverse=True
    )
    for name, model in by_ndcg:
        ndcg = model.metrics["ndcg_at_10"]
        interval = f"[{_number(ndcg.low)}, {_number(ndcg.high)}]"
        lines.append(
            f"{name:<12}{_number(model.metrics['precision_at_10'].mean):>7}"
            f"{_number(model.metrics['recall_at_10'].mean, 4):>8}{_number(ndcg.mean):>9}"
            f"   {interval:<16}{model.coverage_at_10:>8.1%}{model.served_users:>8.0%}"
            f"{model.seconds:>9.1f}{model.peak_mib:>7.0f}"
        )
    for file, costs in summary.missing.items():
        lines.append(f"\n{file} is missing: {costs}")
    lines += [
        "",
        f"lists of {summary.order_by_tune_users[0]} (best on tune users): {summary.top_n}",
        f"compare:  mlflow server --backend-store-uri {summary.tracking_uri}",
    ]
    return "\n".join(lines)


def _figures(board: pl.DataFrame) -> dict[str, Figure]:
    return {
        f"{row['metric']}_at_{row['k']}": Figure(mean=row["mean"], low=row["low"], high=row["high"])
        for row in board.iter_rows(named=True)
    }


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}".lstrip("0")
