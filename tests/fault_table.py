"""Stretches of a night with a fault at each of their steps: what becomes of them, run again.

``python -m tests.fault_table`` prints how many faults each has survived of those injected, by kind;
where nothing stands, a kind cannot strike. Survived is a fault after which nothing is half, and
after whose rerun, in another process, all is as if it had not been and nothing is left over.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flows  # noqa: F401  # settles the environment before anything is imported
from tests.faults import Stretch, answer_of, ended_at, number_of_steps
from tests.store_stretches import store_stretches

KINDS = (
    *("killed", "terminated", "exception", "disk full", "disk full from then on"),
    *("disk broken", "away", "away from then on"),
)
COLUMNS = ("stretch", "steps", *KINDS, "lost")


@dataclass(frozen=True)
class Row:
    """What became of the faults in a stretch: by kind, of each why it is lost, or nothing."""

    stretch: str
    steps: int
    faults: dict[str, list[str]]

    @property
    def lost(self) -> list[str]:
        """Why some were lost."""
        return [why for faults in self.faults.values() for why in faults if why]

    def __str__(self) -> str:
        """As a line of the table."""
        shares = ("" if kind not in self.faults else share(self.faults[kind]) for kind in KINDS)
        return line(self.stretch, self.steps, *shares, len(self.lost))


def share(faults: Sequence[str]) -> str:
    """Say how many have no reason to be lost, of how many."""
    return f"{sum(not why for why in faults)} of {len(faults)}"


def line(*cells: object) -> str:
    """Write a row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def total(rows: Iterable[Row]) -> str:
    """Say it of all rows together."""
    every = [why for row in rows for faults in row.faults.values() for why in faults]
    lost = sum(map(bool, every))
    return f"{len(every):,} faults injected, {len(every) - lost:,} survived, {lost:,} lost"


class Survey:
    """A stretch, as it is before and after, where nothing is in its way."""

    def __init__(self, stretch: Stretch, folder: Path) -> None:
        """Do it once, in a folder."""
        self._stretch = stretch
        self._here, self._before = folder / "here", folder / "before"
        self._here.mkdir(parents=True)
        answer_of(partial(stretch.begin, self._here))
        self._here.rename(self._before)
        self._renew()
        self._wanted = answer_of(self._after_a_rerun)
        self._renew()
        self.steps = number_of_steps(self._work, stretch.steps(self._here))

    def row(self, every: int) -> Row:
        """Inject each kind at every so-manieth step; each kind begins at another one."""
        faults = {}
        for first, kind in enumerate(self._stretch.endings):
            at = range(1 + first % every, self.steps + 1, every)
            faults[kind] = [self._why_lost(kind, number) for number in at]
            print(self._stretch.name, kind, share(faults[kind]), file=sys.stderr)  # noqa: T201
        return Row(self._stretch.name, self.steps, faults)

    def _why_lost(self, kind: str, number: int) -> str:
        """Return what is wrong after a fault and a rerun; nothing if it was survived."""
        self._renew()
        ended_at(number, kind, self._work, self._stretch.steps(self._here))
        try:
            found = answer_of(self._after_a_rerun)
        except AssertionError as error:
            return f"{kind} at step {number}: {error}"
        is_same = found == self._wanted
        return "" if is_same else f"{kind} at step {number}: {found}\n  and not\n  {self._wanted}"

    def _after_a_rerun(self) -> Any:
        self._stretch.check(self._here)
        self._work()
        return self._stretch.found(self._here)

    def _work(self) -> None:
        self._stretch.work(self._here)

    def _renew(self) -> None:
        shutil.rmtree(self._here, ignore_errors=True)
        shutil.copytree(self._before, self._here)


def stretches() -> Iterator[Stretch]:
    """Yield all of them, those of MLflow last, which takes seconds to import."""
    yield from store_stretches()
    from tests.mlflow_stretches import mlflow_stretches

    yield from mlflow_stretches()


def main() -> int:
    """Print the table, and what was lost; return 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault_table", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="9: a fault at every ninth step (1)")
    parser.add_argument("--only", default="", help="word in the names of the stretches")
    given = parser.parse_args()
    rows = []
    print(line(*COLUMNS), line("---", *["--:"] * (len(COLUMNS) - 1)), sep="\n")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        for stretch in stretches():
            if given.only in stretch.name:
                rows.append(Survey(stretch, Path(folder) / stretch.name).row(given.every))
                print(rows[-1], flush=True)  # noqa: T201
    print(f"\n{total(rows)}")  # noqa: T201
    lost = [f"{row.stretch}, {why}" for row in rows for why in row.lost]
    print(*lost, sep="\n", file=sys.stderr)  # noqa: T201
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
