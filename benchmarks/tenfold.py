"""Ingest of a log with ten times the rows, against itself: its memory must not grow with them.

Only the log is written for it, as the demo world of 3.16 times the scale has it. At scale 1 that is
125 M rows and 11 GB of CSV.
"""

from pathlib import Path

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import Ground
from benchmarks.ingest import ingest_log
from benchmarks.measure import Facts, Side

TENFOLD = 10**0.5
PREPARE = "prepare"


def prepare(ground: Ground) -> Facts:
    """Write the log, unless it is there."""
    from tasks.sources.demo.files import CsvFile
    from tasks.sources.demo.world import World, log_chunk

    target = world_of(ground)
    scale = ground.scale * TENFOLD
    if not target.exists():
        part = ground.fresh("tenfold-part")
        world = World.draw(scale, ground.seed)
        with CsvFile(part, "interactions") as file:
            for number, user_id in enumerate(world.user_chunks()):
                file.append(log_chunk(world, user_id, number))
        part.rename(target)
    return {"scale": scale}


def world_of(ground: Ground) -> Path:
    """Return the folder of the large log."""
    return ground.folder / "tenfold"


def small(ground: Ground) -> Facts:
    """Ingest the log of the world itself."""
    return ingest_log(ground, ground.world)[0]


def large(ground: Ground) -> Facts:
    """Ingest the log with ten times the rows."""
    return ingest_log(ground, world_of(ground))[0]


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
