"""The days that a backfill plays: as of which, each with its backtest's day."""

import logging
from collections.abc import Sequence
from datetime import date, timedelta

from schemas.artifacts import ArtifactRef
from schemas.errors import ConfigError
from schemas.settings import BackfillConfig
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.features.log_days import (
    LEAST_BEFORE,
    days_with_views,
    playable_days,
    strays,
    views_by_day,
)
from tasks.features.task import CutoffDates, resolved_days

logger = logging.getLogger(__name__)


def dates_to_play(
    there: Sequence[date], first: date | None, last: date | None, every: int
) -> list[date]:
    """Return the days to play of those ``there``, ascending days with views.

    The first from ``first`` on, then each next one that is at least ``every`` days later, until
    ``last``; with None, as many as can be. ConfigError if there is none.
    """
    playable = playable_days(there)
    days: list[date] = []
    for day in playable:
        is_within = (first is None or day >= first) and (last is None or day <= last)
        if is_within and (not days or day >= days[-1] + timedelta(days=every)):
            days.append(day)
    if not days:
        can = f"from {playable[0]} to {playable[-1]}" if playable else "none: the log is too short"
        raise ConfigError(
            f"no day from {first or 'the first'} to {last or 'the last'} can be played: it must"
            f" have views, and {LEAST_BEFORE} days with views before it. The days there are: {can}"
        )
    return days


@plain_task()
def backfill_dates(config: BackfillConfig, log_table: ArtifactRef) -> list[CutoffDates]:
    """Settle the days of a backfill, and the day on which each is backtested."""
    views = views_by_day(Store(config.root).scan(log_table))
    if far := strays(views):
        logger.warning("%s", far)
    days = dates_to_play(days_with_views(views), config.from_day, config.to_day, config.every_days)
    logger.info("%d nights, from %s to %s", len(days), days[0], days[-1])
    return [resolved_days(views, day, config.backtest_days) for day in days]
