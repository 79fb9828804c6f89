"""What a person can set of keeping a root small and whole."""

from typing import ClassVar

from pydantic import Field

from schemas.tracked_settings import TrackedConfig


class PruneConfig(TrackedConfig):
    """Removes old nights, the champion's apart, and all that only they name."""

    heading: ClassVar[str] = "what is kept"

    keep_nights: int = Field(
        14,
        ge=0,
        description="nights that are kept, those as of the newest days; of demo worlds so many"
        " again, and so of backfills and of searches",
    )
    keep_days: int = Field(
        14,
        ge=0,
        description="days for which everything is kept that was written or played, whether a night"
        " names it or not",
    )
    dry_run: bool = Field(default=False, description="only say what would be removed")


class CheckConfig(TrackedConfig):
    """Reads every byte of a root, and says what is damaged, missing or orphaned."""
