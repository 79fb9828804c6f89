"""Ingest of a log with ten times the rows, against itself: its memory must not grow with them.

At scale 1 that is 125 M rows and 11 GB of CSV, the log of the demo world of 3.16 times the scale.
"""

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import Ground
from benchmarks.ingest import ingest_log
from benchmarks.measure import Facts, Side

TENFOLD = 10**0.5
"""A world of this many times the scale has ten times the rows."""
PREPARE = "prepare"


def tenfold_of(ground: Ground) -> Ground:
    """Return the ground of the larger world, which is written unless it is there."""
    return Ground.make(ground.folder / "tenfold", ground.scale * TENFOLD, ground.seed)


def prepare(ground: Ground) -> Facts:
    """Write the larger world."""
    return {"scale": tenfold_of(ground).scale}


def small(ground: Ground) -> Facts:
    """Ingest the log of the world itself."""
    return ingest_log(ground, ground.world)[0]


def large(ground: Ground) -> Facts:
    """Ingest the log with ten times the rows."""
    return ingest_log(ground, tenfold_of(ground).world)[0]


SIDES: dict[str, Side] = {PREPARE: prepare, "large": large, "small": small}
COMPARISONS = (
    Comparison(
        "ingest of ten times the rows",
        "itself",
        ours="large",
        theirs=("small",),
        goal=Goal(most_times=11, most_memory_times=2),
    ),
)
