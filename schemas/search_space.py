"""Where settings are searched: said beside a setting's default, so that no space names another.

``factors: Annotated[int, Search(16, 128, log=True)] = Field(64, ...)``: tuning tries 16 to 128.
"""

from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel


@dataclass(frozen=True)
class Search:
    """A number's least and greatest value worth a try; ``log`` where its size matters."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class OneOf:
    """The values worth a try of a setting that is no number."""

    values: tuple[str | float | bool | None, ...]


Tried: TypeAlias = Search | OneOf
SearchSpace: TypeAlias = dict[str, Tried]


def search_space(config: type[BaseModel]) -> SearchSpace:
    """Return what of a config is searched, by setting; empty where nothing is."""
    return {
        name: tried
        for name, field in config.model_fields.items()
        for tried in field.metadata
        if isinstance(tried, Search | OneOf)
    }


def is_in_space(space: SearchSpace, settings: dict[str, object]) -> bool:
    """Whether these are settings that a search could have found: each searched one, no other."""
    return settings.keys() == space.keys() and all(
        _is_tried(space[name], value) for name, value in settings.items()
    )


def _is_tried(tried: Tried, value: object) -> bool:
    if isinstance(tried, OneOf):
        return value in tried.values
    return isinstance(value, int | float) and tried.low <= value <= tried.high
