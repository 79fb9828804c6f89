"""The days of KuaiRec: three windows of the log within 63 days, in Shanghai time.

Day 0 is July 5 2020, day 62 September 5. Times are ms since the epoch on the local clock unless the
name says ``unix``.
"""

import numpy as np
from numpy.typing import NDArray

FIRST_DATE = np.datetime64("2020-07-05", "D")
LAST_DAY = 62
FIRST_COLD_DAY = 56
"""August 30: cold videos are those that nobody saw before."""
WINDOWS = ((0, 7), (27, 36), (53, LAST_DAY))
"""First and last day of each window of the log."""
GAPS = ((8, 26), (37, 52))
"""First and last day of the silence between them."""
LOG_DAYS = np.concatenate([np.arange(first, last + 1) for first, last in WINDOWS])
"""The 28 days that have rows."""
DAY_MS = 86_400_000
SHANGHAI_MS = 8 * 3_600_000

_HOURLY = (
    *(30, 16, 9, 6, 6, 11, 22, 33, 36, 36, 38, 46),
    *(57, 54, 44, 41, 42, 47, 56, 66, 75, 82, 80, 57),
)
HOUR_SHARES = np.array(_HOURLY) / sum(_HOURLY)
"""When people watch: lunch and late evening."""


def yyyymmdd(day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return days as the integers of KuaiRec's ``date`` column."""
    date = FIRST_DATE + day.astype("timedelta64[D]")
    month = date.astype("datetime64[M]")
    year = date.astype("datetime64[Y]")
    return np.asarray(
        (year.astype(np.int64) + 1970) * 10_000
        + (month.astype(np.int64) % 12 + 1) * 100
        + (date - month.astype("datetime64[D]")).astype(np.int64)
        + 1
    )


def draw_local_ms(day: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a moment within each day by the hour curve."""
    first_ms = FIRST_DATE.astype("datetime64[ms]").astype(np.int64)
    hour = np.searchsorted(np.cumsum(HOUR_SHARES)[:-1], rng.random(len(day)), side="right")
    in_hour = rng.integers(3_600_000, size=len(day))
    return np.asarray(first_ms + day * DAY_MS + hour * 3_600_000 + in_hour)


def unix_seconds(local_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Shanghai's local clock as unix seconds, exact to the ms."""
    return (local_ms - SHANGHAI_MS) / 1000.0
