"""What a house may ask of people's lists, whatever a model says: settings of nights and answers."""

from typing import ClassVar, Self

from pydantic import BaseModel, Field, model_validator

from schemas.paths import Place

NEW_DAYS = 7
"""How old a new video is at most, where nobody says it."""


class ListRulesConfig(BaseModel):
    """Rules of the house: who gets no list, what stands in none, and what a list is made up of."""

    heading: ClassVar[str] = "rules of the house"

    excluded_user_file: Place | None = Field(
        None,
        min_length=1,
        description="CSV or Parquet file with a column user_id: they get no list",
    )
    excluded_video_file: Place | None = Field(
        None,
        min_length=1,
        description="CSV or Parquet file with a column video_id: they are in no list",
    )
    max_per_author: int | None = Field(
        None, ge=1, description="videos of one author in a list at most (default: any number)"
    )
    min_video_seconds: float | None = Field(
        None, gt=0, description="length of a listed video at least (default: any)"
    )
    max_video_seconds: float | None = Field(
        None, gt=0, description="length of a listed video at most (default: any)"
    )
    min_new_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of a list's places that new videos have at least, if a user has so many"
        " left to see (default: any)",
    )
    new_days: int | None = Field(
        None,
        ge=1,
        description="a video is new if it was uploaded at most so many days before the night's day"
        f" (default: {NEW_DAYS})",
    )

    @model_validator(mode="after")
    def _some_length_fits(self) -> Self:
        low, high = self.min_video_seconds, self.max_video_seconds
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_video_seconds {low:g} is above max_video_seconds {high:g}")
        return self

    @property
    def has_rules(self) -> bool:
        """Whether any of them is set; how old new videos are is no rule by itself."""
        set_ones = self.model_dump(include=set(ListRulesConfig.model_fields) - {"new_days"})
        return any(value is not None for value in set_ones.values())
