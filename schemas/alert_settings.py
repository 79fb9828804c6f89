"""What `overdue` can be told: how long no night is well, and how old a champion may be."""

from typing import ClassVar

from pydantic import Field

from schemas.settings import NAME
from schemas.tracked_settings import TrackedConfig


class OverdueConfig(TrackedConfig):
    """Says whether a night is overdue or the champion too old, and alerts once where one is.

    For a scheduler that needs neither Prefect nor its workers, such as cron. Exits with 1 where
    something is not well.
    """

    heading: ClassVar[str] = "what is too late"

    max_night_hours: float = Field(
        26, gt=0, description="hours from the beginning of one night to that of the next, at most"
    )
    max_champion_age_days: int = Field(
        30, ge=0, description="days that a version may be champion after it was made, at most"
    )
    registered_model: str | None = Field(
        None,
        min_length=1,
        pattern=NAME,
        description="name of the champion in MLflow's registry (default: grail, or where there are"
        " only nights of demo worlds the newest of their champions)",
    )
