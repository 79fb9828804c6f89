"""The day that a log is played as of next: after the newest night of such data on this root."""

import logging
from datetime import date

from schemas.artifacts import ArtifactRef
from schemas.errors import UnreachableError
from schemas.settings import NightlyConfig
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.features.log_days import day_after, days_with_views, views_by_day
from tasks.sources.task import RawData

logger = logging.getLogger(__name__)


@plain_task(retry_on=UnreachableError)
def resolve_next_day(config: NightlyConfig, raw: RawData, log: ArtifactRef) -> date | str:
    """Return the day of the log after the newest night, its first where there is none.

    Where the log is played to its end, return a line that says so.
    """
    from tasks.tracking.night_history import newest_night
    from tasks.tracking.night_run import reachable

    references = RunReferences(config.root)
    with reachable(config.tracking_address) as client:
        played = newest_night(client, references, config.source, raw)
    there = days_with_views(views_by_day(Store(config.root).scan(log)))
    day = day_after(played, there)
    logger.info("the newest night on this root: %s", f"as of {played}" if played else "none")
    return day or (
        f"the log ends on {there[-1]}, and the night as of {played} was played: nothing is left to"
        " do until it grows. On another --root it begins anew"
    )
