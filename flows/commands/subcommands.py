"""What each word after ``python -m flows`` does: its settings, its examples, what runs it.

Flags are read before Prefect, MLflow or a model's library is imported: help is there at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel

from flows import COMMAND
from flows.commands.terminal import say
from schemas.alert_settings import OverdueConfig
from schemas.retention_settings import CheckConfig, PruneConfig
from schemas.server_settings import UpConfig
from schemas.settings import (
    BackfillConfig,
    DemoDataConfig,
    NightlyConfig,
    RecommendConfig,
    RollbackConfig,
)
from schemas.tracked_settings import TrackedConfig
from schemas.tuning_settings import TuneConfig

if TYPE_CHECKING:
    from flows.commands.run import Reported


@dataclass(frozen=True)
class Subcommand:
    """Settings, what does the work with them, and examples of what may be typed."""

    config: type[BaseModel]
    run: Callable[..., None]
    """Takes a config, and what stands behind ``--`` where ``hands_on`` says so."""
    examples: tuple[str, ...]
    hands_on: bool = False


def runs_flow(load: Callable[[], Reported]) -> Callable[[TrackedConfig], None]:
    """Make a command of what imports a flow, which a temporary server's start does not wait for."""

    def run(config: TrackedConfig) -> None:
        from flows.commands.run import run_flow

        run_flow(load, config)

    return run


@runs_flow
def nightly() -> Reported:
    """Play a night and print its figures."""
    from flows.nightly import nightly as flow
    from tasks.reporting.console import night_report

    return flow, lambda made: [made] if isinstance(made, str) else night_report(made)


@runs_flow
def backfill() -> Reported:
    """Play nights of the past and print what became of models."""
    from flows.backfill import backfill as flow
    from tasks.reporting.backfill_summary import backfill_report

    return flow, backfill_report


@runs_flow
def tune() -> Reported:
    """Search models' settings and print what the best are worth."""
    from flows.tune import tune as flow
    from tasks.reporting.tuning_summary import tuning_report

    return flow, tuning_report


@runs_flow
def recommend() -> Reported:
    """Ask the champion and print what a person wants to know of its answer."""
    from flows.recommend import as_text
    from flows.recommend import recommend as flow

    return flow, lambda made: ["", as_text(made)]


def rollback(config: RollbackConfig) -> None:
    """Change who is champion and say who is."""
    from flows.rollback import rollback as change

    say(change(config))


def overdue(config: OverdueConfig) -> None:
    """Say what is late, or that nothing is."""
    from flows.overdue import late

    said = late(config, datetime.now(UTC))
    say(*(said or ["all is well: no night is overdue, and the champion is not too old"]))
    if said:
        raise SystemExit(1)


@runs_flow
def prune() -> Reported:
    """Remove old nights and print what that has freed."""
    from flows.prune import prune as flow

    return flow, lambda made: ["", made.verdict]


@runs_flow
def check() -> Reported:
    """Read all of a root and print that it is well."""
    from flows.check import check as flow

    return flow, lambda made: ["", made.verdict]


def demo_data(config: DemoDataConfig) -> None:
    """Write the demo world and say where it is."""
    from flows.demo_data import demo_data as write

    say(write(config))


def up(config: UpConfig, of_the_night: list[str]) -> None:
    """Start the servers and wait until they are told to stop."""
    from flows.dev_stack.night_flags import night_parameters
    from flows.dev_stack.up import up as run_servers

    run_servers(config, night_parameters(of_the_night, f"{COMMAND} up"))


SUBCOMMANDS: dict[str, Subcommand] = {
    "nightly": Subcommand(
        NightlyConfig,
        nightly,
        (
            "python -m flows nightly --source demo --scale 0.3",
            "python -m flows nightly --source ~/KuaiRec.zip --as-of 2020-08-30",
            """python -m flows nightly --models als --model-params '{"als": {"factors": 128}}'""",
        ),
    ),
    "backfill": Subcommand(
        BackfillConfig,
        backfill,
        ("python -m flows backfill --from 2020-08-06 --to 2020-09-05 --every-days 7",),
    ),
    "tune": Subcommand(
        TuneConfig,
        tune,
        (
            "python -m flows tune --model tags --trials 40 --seconds 600",
            "python -m flows tune --source ~/KuaiRec.zip",
        ),
    ),
    "recommend": Subcommand(
        RecommendConfig,
        recommend,
        (
            "python -m flows recommend --user 14 --top-n 10 --explain",
            "python -m flows recommend --user-file users.csv --out lists.parquet",
        ),
    ),
    "rollback": Subcommand(
        RollbackConfig,
        rollback,
        ("python -m flows rollback", "python -m flows rollback --registered-model grail --retire"),
    ),
    "overdue": Subcommand(
        OverdueConfig,
        overdue,
        ("python -m flows overdue --root data --max-night-hours 26",),
    ),
    "prune": Subcommand(
        PruneConfig,
        prune,
        (
            "python -m flows prune --dry-run",
            "python -m flows prune --keep-nights 30 --keep-days 7",
        ),
    ),
    "check": Subcommand(
        CheckConfig,
        check,
        (
            "python -m flows check",
            "python -m flows check --root s3://bucket/grail --tracking-uri http://mlflow:5000",
        ),
    ),
    "demo-data": Subcommand(
        DemoDataConfig,
        demo_data,
        ("python -m flows demo-data --scale 1 --seed 7 --out world",),
    ),
    "up": Subcommand(
        UpConfig,
        up,
        (
            "python -m flows up --root data",
            "python -m flows up --root data -- --source ~/KuaiRec.zip --top-n 50",
        ),
        hands_on=True,
    ),
}
