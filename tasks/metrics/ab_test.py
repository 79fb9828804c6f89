"""A live test, simulated on the fully observed block: what it takes to tell two models apart.

Test users are drawn with replacement, half of them for each model. Each comes on a day with their
own probability, and every visit shows the next videos of their list; whether these would have been
enjoyed is known. The unit is the user, who was assigned, not the video: one figure each, the share
enjoyed of all that they were shown, and a Welch test of the two halves' means (Kohavi, Tang and Xu
(2020), "Trustworthy Online Controlled Experiments", chapters 17 to 19; Deng, Knoblich and Lu
(2018), "Applying the Delta Method in Metric Analytics", on why the unit matters).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.live_test import LiveTest, LiveTestSize

Floats = NDArray[np.float64]

PER_VISIT = 10
DAYS = (1, 2, 3, 7, 14)
SIZES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 5, 10)
"""Users of a test, by the number of test users that there are."""
LONGEST = PER_VISIT * max(DAYS)
"""Places of a list that a live test can show."""
TESTS = 400
ALPHA, POWER = 0.05, 0.8
FUTURES = 32
"""So many courses of days are drawn for each user; a simulated user is one of one user's."""
BLOCK = 50
"""So many tests are simulated at a time: some 5 MB a figure at KuaiRec's size."""


def shares_by_visits(ranked: NDArray[np.int32], enjoyed: NDArray[np.bool_]) -> Floats:
    """Return the share enjoyed of what 1, 2, ... visits show of each list: (n, most days).

    ``ranked`` (n, LONGEST or more) is from ``rank``, ``enjoyed`` bool (n, m). A list
    that has ended shows nothing more; an empty one has 0.
    """
    places = ranked[:, :LONGEST]
    padded = np.pad(enjoyed, ((0, 0), (0, 1)))  # the -1 of padding reads the last column, False
    hits = padded[np.arange(len(places))[:, None], places]
    by_visits = slice(PER_VISIT - 1, None, PER_VISIT)
    n_hits, n_shown = (np.cumsum(of, axis=1)[:, by_visits] for of in (hits, places >= 0))
    shares: Floats = n_hits / np.maximum(n_shown, 1)
    return shares


def share_rows(
    shares: Floats, model: str, user_idx: NDArray[np.int32], user_index: pl.DataFrame
) -> pl.DataFrame:
    """Lay ``shares_by_visits`` of a model's n users out as rows of ``list_shares``."""
    visits = np.arange(1, shares.shape[1] + 1, dtype=np.int32)
    rows = pl.DataFrame(
        {
            "user_idx": np.repeat(user_idx, len(visits)),
            "visits": np.tile(visits, len(shares)),
            "enjoyed_share": shares.ravel(),
        }
    )
    named = rows.join(user_index, on="user_idx", how="left", maintain_order="left")
    return named.select(pl.lit(model).alias("model"), "user_id", "visits", "enjoyed_share")


def spread(rows: pl.DataFrame) -> Floats:
    """Return the shares that ``share_rows`` laid out, (n, visits)."""
    shares: Floats = rows["enjoyed_share"].to_numpy().reshape(-1, max(DAYS))
    return shares


def visits_by(activity: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw how often each of n users has come after each of ``DAYS``: (days, n x FUTURES)."""
    chances = np.repeat(activity, FUTURES)[:, None]
    comes = rng.random((len(chances), max(DAYS))) < chances
    visits = np.cumsum(comes, axis=1, dtype=np.int64)
    return visits[:, np.array(DAYS) - 1].T


class Sums(NamedTuple):
    """Of one half of many tests: users who came, and sums of their figures and squares."""

    n: Floats
    total: Floats
    squares: Floats


@dataclass(frozen=True)
class Arm:
    """What the simulated users of one model enjoy: float64 (days, n x FUTURES), 0 if away."""

    figures: Floats
    came: Floats

    @classmethod
    def of(cls, shares: Floats, visits: NDArray[np.int64]) -> Arm:
        """Read the figure of each future off ``shares_by_visits``."""
        padded = np.pad(shares, ((0, 0), (1, 0)))  # no visit: nothing, and not counted
        users = np.repeat(np.arange(len(shares)), FUTURES)
        return cls(padded[users, visits], (visits > 0).astype(np.float64))

    @property
    def mean(self) -> Floats:
        """The mean figure of those who come, (days,): what a test without end would see."""
        with np.errstate(invalid="ignore"):  # 0 / 0, where nobody comes, is the NaN we promise
            mean: Floats = self.figures.sum(axis=1) / self.came.sum(axis=1)
        return mean

    def sums(self, day: int, drawn: NDArray[np.int32], ends: NDArray[np.int64]) -> Sums:
        """Add up the first ``ends`` of the ``drawn`` futures (tests, most): (tests, sizes) each."""
        starts = np.concatenate([[0], ends[:-1]])
        figures = self.figures[day][drawn]
        parts = (self.came[day][drawn], figures, figures * figures)
        return Sums(*(np.add.reduceat(p, starts, axis=1).cumsum(axis=1) for p in parts))


def is_significant(one: Sums, other: Sums) -> NDArray[np.bool_]:
    """Tell where Welch's test has p below ``ALPHA``; never without two users in each half."""
    from scipy.stats import ttest_ind_from_stats  # takes seconds to import

    with np.errstate(invalid="ignore", divide="ignore"):  # nobody, or nobody who differs
        moments = []
        for n, total, squares in (one, other):
            variance = np.maximum(squares - total * total / n, 0) / (n - 1)
            moments += [total / n, np.sqrt(variance), n]
        p_value = ttest_ind_from_stats(*moments, equal_var=False).pvalue
    few = (one.n < 2) | (other.n < 2)
    found: NDArray[np.bool_] = (p_value < ALPHA) & ~few
    return found


def halves(n_users: int) -> NDArray[np.int64]:
    """Return the users in each half of the tests that are simulated: ascending, 2 or more."""
    return np.unique([max(2, round(size * n_users / 2)) for size in SIZES])


def simulated_tests(ours: Floats, theirs: Floats, activity: Floats, seed: int) -> pl.DataFrame:
    """Simulate tests of a model against another one, and of the other against itself (A/A).

    ``ours`` and ``theirs`` are their ``shares_by_visits`` of the same n users, who come on the
    share ``activity`` (n,) of days. A test of more users or days goes on where a smaller one ended.
    Returns a row a number of users and days: of ``live_test``, without names and base rate.
    """
    rng = np.random.default_rng(seed)
    visits = visits_by(activity, rng)
    model, baseline = Arm.of(ours, visits), Arm.of(theirs, visits)
    ends = halves(len(activity))
    n_seen, n_false = np.zeros((2, len(DAYS), len(ends)), dtype=np.int64)
    for first in range(0, TESTS, BLOCK):
        shape = (2, min(BLOCK, TESTS - first), int(ends[-1]))
        there, here = rng.integers(0, visits.shape[1], size=shape, dtype=np.int32)
        for day in range(len(DAYS)):
            base = baseline.sums(day, there, ends)
            n_seen[day] += is_significant(model.sums(day, here, ends), base).sum(axis=0)
            n_false[day] += is_significant(baseline.sums(day, here, ends), base).sum(axis=0)
    sizes = pl.DataFrame({"users": (2 * ends).astype(np.int32)})
    days = pl.DataFrame({"days": np.array(DAYS, dtype=np.int32)})
    means = days.with_columns(
        pl.Series("baseline_share", baseline.mean),
        pl.Series("difference", model.mean - baseline.mean),
    )
    return (
        means.with_columns(pl.col("baseline_share", "difference").fill_nan(None))
        .join(sizes, how="cross", maintain_order="left_right")
        .with_columns(**shares_of(n_seen, "power"), **shares_of(n_false, "false_alarms"))
        .with_columns(tests=pl.lit(TESTS, dtype=pl.Int32))
    )


def live_test_of(
    shares: Mapping[str, Floats], model: str, activity: Floats, base_rate: float, seed: int
) -> pl.DataFrame:
    """Return ``live_test``: a model against each of the others; no row where there is none.

    ``shares`` are ``shares_by_visits`` by model, of the same n users as ``activity`` (n,).
    """
    columns = {n: c.dtype.type for n, c in LiveTest.to_schema().columns.items()}
    tests = [
        simulated_tests(shares[model], theirs, activity, seed).with_columns(
            model=pl.lit(model), baseline=pl.lit(name), base_rate=pl.lit(base_rate)
        )
        for name, theirs in shares.items()
        if name != model
    ]
    return pl.concat([pl.DataFrame(schema=columns), *(test.select(*columns) for test in tests)])


def shares_of(counts: NDArray[np.int64], name: str) -> dict[str, pl.Series]:
    """Return counts of ``TESTS`` as shares, with the ends of their exact 95 % intervals.

    Clopper and Pearson (1934), "The use of confidence or fiducial limits".
    """
    from scipy.stats import beta  # takes seconds to import

    n = counts.ravel()
    low = np.where(n == 0, 0.0, beta.ppf(0.025, n, TESTS - n + 1))
    high = np.where(n == TESTS, 1.0, beta.ppf(0.975, n + 1, TESTS - n))
    shares = {name: n / TESTS, f"{name}_low": low, f"{name}_high": high}
    return {column: pl.Series(values) for column, values in shares.items()}


def smallest_tests(live_test: pl.DataFrame) -> dict[str, LiveTestSize | None]:
    """Return by ``baseline`` the cheapest test that has power ``POWER``: fewest users times days.

    None: no test simulated is large enough.
    """
    cost = pl.col("users") * pl.col("days")
    enough = live_test.filter(pl.col("power") >= POWER).sort(cost, "days")
    found = enough.unique("baseline", keep="first", maintain_order=True)
    sizes = {
        name: LiveTestSize(users=users, days=days)
        for name, users, days in found.select("baseline", "users", "days").iter_rows()
    }
    return {name: sizes.get(name) for name in live_test["baseline"].unique(maintain_order=True)}


def words_for(model: str, smallest: Mapping[str, LiveTestSize | None]) -> list[str]:
    """Say for people what a live test would need, a line a model compared with."""
    return [
        f"a live test of {model} against {name} would need {_size_in_words(size)}"
        f" (power {POWER}, simulated)"
        for name, size in smallest.items()
    ]


def _size_in_words(size: LiveTestSize | None) -> str:
    if size is None:
        return f"more than {max(SIZES)} times the test users for {max(DAYS)} days"
    return f"about {size.users:,} users for {size.days} day{'s' if size.days > 1 else ''}"
