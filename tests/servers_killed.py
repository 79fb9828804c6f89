"""Nights, a backfill and a pruning at once, while MLflow's and Prefect's servers are killed.

``python -m tests.servers_killed --rounds 10 --seed 1`` prints what became of them, round by round.
In each, two nights (in every other round equal ones, else as of two days), a backfill and a pruning
begin together on a small root with older nights; both servers are killed again and again at moments
that are drawn, and are away for up to 20 seconds. A command may end well or in one line, and is
begun again then, once, as soon as both answer. With the servers up, all are run again, and then
nothing of it may be seen: what a round has lost is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fault_table import line
from tests.lasting_server import Killer
from tests.runs_left import WALK, left_by_half, runs_by_day, wrong_with_champions
from tests.served_root import Ended, ServedRoot

BEGINS = 2
"""Of a command while servers are killed: one that ends in one line is begun again."""
TRIES = 3
"""Runs of a command with the servers up, one of which must end well."""

SMALL = ("--scale", "0.05", "--seed", "1", "--models", "random,als")
"""A world in which a first night's ALS becomes champion."""
FIRST, *OLD = (("nightly", *SMALL, "--as-of", f"2020-{day}") for day in ("09-03", "08-20", "08-22"))
NIGHTS = tuple(("nightly", *SMALL, "--as-of", f"2020-{day}") for day in ("09-06", "09-05"))
DAYS_OF_BACKFILL = ("2020-08-27", "2020-08-30")
BACKFILL = ("backfill", *SMALL, "--from", "2020-08-27", "--to", "2020-08-30", "--every-days", "3")
PRUNE = ("prune", "--keep-nights", "1", "--keep-days", "0")
CHECK = ("check",)
COMMANDS = 4
"""That are at work at once."""
COLUMNS = (
    *("seed", "nights", "kills of MLflow", "of Prefect", "ended well", "in one line"),
    *("run again", "shown as running in Prefect", "seconds", "lost"),
)


@dataclass(frozen=True)
class Row:
    """What became of a round."""

    seed: int
    nights: str
    kills: tuple[int, int]
    first: Sequence[Ended]
    """How its commands ended while servers were killed."""
    runs_again: int
    shown_as_running: int
    seconds: float
    lost: Sequence[str]

    @property
    def told(self) -> list[str]:
        """The lines in which commands ended that did not end well."""
        return [one.said.splitlines()[-1] for one in self.first if one.code and not one.wrong]

    def __str__(self) -> str:
        """As a line of the table."""
        well = sum(one.code == 0 for one in self.first)
        ends = (f"{well} of {COMMANDS}", len(self.told))
        again = (self.runs_again, self.shown_as_running, f"{self.seconds:.0f}", len(self.lost))
        return line(self.seed, self.nights, *self.kills, *ends, *again)


def play(served: ServedRoot, seed: int, commands: Sequence[Sequence[str]]) -> Row:
    """Play a round with some commands; servers are killed at moments drawn from a seed."""
    begun = time.monotonic()
    served.set_back()
    with served.mlflow, served.prefect:
        draws = np.random.default_rng(seed).spawn(2)
        both = zip((served.mlflow, served.prefect), draws, strict=True)
        killers = [Killer(server, draw) for server, draw in both]
        try:
            first = served.at_once([*commands, PRUNE], BEGINS)
        finally:
            kills = [killer.end() for killer in killers]
        lost, runs_again = after(served, commands)
        return Row(
            seed=seed,
            nights="equal" if commands[0] == commands[1] else "of two days",
            kills=(kills[0], kills[1]),
            first=first,
            runs_again=runs_again,
            shown_as_running=served.shown_as_running(),
            seconds=time.monotonic() - begun,
            lost=[*filter(None, (one.wrong for one in first)), *lost],
        )


def after(served: ServedRoot, commands: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """Run commands again with the servers up, then a pruning and a check.

    Return what is not as it would be had nothing happened, and how many runs it took.
    """
    lost: list[str] = []
    runs = run_again(served, commands, lost)
    found = runs_by_day(served.root, served.mlflow.address)
    days = {words[-1] for words in commands if words[0] == "nightly"}
    if BACKFILL in commands:
        days |= {*DAYS_OF_BACKFILL, WALK}
    lost += [
        f"{day} shows {sorted(found.get(day, set()) ^ served.wanted[day])[:6]}, or should"
        for day in sorted(days)
        if found.get(day) != served.wanted[day]
    ]
    lost += left_by_half(served.root, served.mlflow.address)
    for one in (PRUNE, CHECK):
        runs += run_again(served, [one], lost)
    lost += wrong_with_champions(served.mlflow.address)
    return lost, runs


def run_again(served: ServedRoot, commands: Sequence[Sequence[str]], lost: list[str]) -> int:
    """Run commands until each has ended well; return how many runs that took.

    What is wrong is added to what is lost.
    """
    runs = 0
    for _ in range(TRIES):
        ended = served.at_once(commands)
        runs += len(ended)
        lost += filter(None, (one.wrong for one in ended))
        commands = [one.words for one in ended if one.code != 0]
        if not commands:
            return runs
    lost += [f"run again, it did not end well: {one}" for one in ended]
    return runs


def main() -> int:
    """Print the table, and what was lost; return 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers_killed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how many rounds are played (10)")
    parser.add_argument("--seed", type=int, default=1, help="of the first; each next has one more")
    given = parser.parse_args()
    rows = []
    print(line(*COLUMNS), line("---", "---", *["--:"] * (len(COLUMNS) - 2)), sep="\n")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        served = ServedRoot(Path(folder), [FIRST, *OLD], [*NIGHTS, BACKFILL])
        for seed in range(given.seed, given.seed + given.rounds):
            nights = NIGHTS if seed % 2 else (NIGHTS[0], NIGHTS[0])
            rows.append(play(served, seed, [*nights, BACKFILL]))
            print(rows[-1], flush=True)  # noqa: T201
            told = [f"{seed}: {one}" for one in (*rows[-1].told, *rows[-1].lost)]
            print(*told, sep="\n", file=sys.stderr, flush=True)  # noqa: T201
    print(f"\n{total(rows)}")  # noqa: T201
    return any(row.lost for row in rows)


def total(rows: Sequence[Row]) -> str:
    """Say it of all rounds together."""
    kills = [sum(row.kills[which] for row in rows) for which in (0, 1)]
    commands = COMMANDS * len(rows)
    lost = sum(bool(row.lost) for row in rows)
    return (
        f"{len(rows)} rounds of {commands} commands, MLflow killed {kills[0]} times and Prefect"
        f" {kills[1]}: {len(rows) - lost} rounds as if nothing had been, {lost} not"
    )


if __name__ == "__main__":
    sys.exit(main())
