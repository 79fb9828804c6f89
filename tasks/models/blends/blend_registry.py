"""All blends. A new one is a class here and its place in ``BLENDS``; a long one is imported."""

from __future__ import annotations

from schemas.errors import ConfigError
from tasks.models.blends.blend import Blend
from tasks.models.blends.linear import Linear
from tasks.models.blends.stacked import Stacked

BEST = "best"
"""Asks for whichever is best on validation users."""

BLENDS: tuple[type[Blend], ...] = (Linear, Stacked)
"""All blends, the simplest first: of equals the first is used. The very first can always be fit."""


def blends_asked_for(kind: str) -> tuple[type[Blend], ...]:
    """Return the blends to learn: all for ``best``, else the one of that name and the simplest.

    ConfigError names those there are.
    """
    if kind == BEST:
        return BLENDS
    names = [blend.name for blend in BLENDS]
    if kind not in names:
        raise ConfigError(f"unknown blend {kind!r}: choose from {BEST}, {', '.join(names)}")
    return tuple(blend for blend in BLENDS if blend is BLENDS[0] or blend.name == kind)
