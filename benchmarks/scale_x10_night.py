"""The whole night on ten times the rows, against itself.

What samples does so at either size: the blend learns from the holdout of at most 4,000 users and
400,000 pairs, two-tower shows its loss on some 100,000 pairs, and the monitoring asks 64 users what
is served. All else takes every row.
"""

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import Ground
from benchmarks.measure import Facts, Side
from benchmarks.night import night
from benchmarks.scale_x10 import PREPARE, prepare, tenfold_of


def small(ground: Ground) -> Facts:
    """Run the first night of the world itself."""
    return night(ground, ground.fresh("night"))[0]


def large(ground: Ground) -> Facts:
    """Run the first night of the world with ten times the rows."""
    return small(tenfold_of(ground))


SIDES: dict[str, Side] = {PREPARE: prepare, "large": large, "small": small}
COMPARISONS = (
    Comparison(
        "the whole night with ten times the rows",
        "itself",
        ours="large",
        theirs=("small",),
        goal=Goal(most_times=8, most_mib=5e9 / 2**20),
    ),
)
