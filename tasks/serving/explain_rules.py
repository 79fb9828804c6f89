"""What the rules of the house did to one user's list, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.serving.list_rules import WORDS, ListRules

Ids = NDArray[np.integer[Any]]


def effects(
    rules: ListRules, video_ids: Ids, user: int, unruled: Ids, listed: Ids
) -> Iterator[str]:
    """Yield a line on the videos that would be listed without rules, and one on those instead.

    ``video_ids`` are those of the catalogue, ascending; ``unruled`` and ``listed`` are ids too.
    """
    if not rules.gets_a_list(np.array([user])).all():
        yield f"user {user} is excluded by the rules of the house: they get no list"
        return
    gone, instead = unruled[~np.isin(unruled, listed)], listed[~np.isin(listed, unruled)]
    if len(gone):
        why = reasons_of(rules, np.searchsorted(video_ids, gone))
        said = (f"{video} ({reason})" for video, reason in zip(gone.tolist(), why, strict=True))
        yield f"passed over by the rules of the house: {', '.join(said)}"
    if len(instead):
        is_new = rules.is_new[np.searchsorted(video_ids, instead)].tolist()
        marks = (" (new)" if new else "" for new in is_new)
        said = (f"{video}{mark}" for video, mark in zip(instead.tolist(), marks, strict=True))
        yield f"listed instead: {', '.join(said)}"


def reasons_of(rules: ListRules, video_idx: Ids) -> list[str]:
    """Say of each video why it is not listed: the rule that keeps it out of all lists, if any."""
    kept_out = {WORDS[name].removeprefix("videos "): out for name, out in rules.kept_out.items()}
    places = []
    if rules.max_per_author:
        places.append(f"{rules.max_per_author} of its author are listed")
    if rules.min_new_share:
        places.append("a new one has its place")
    return [
        next((reason for reason, out in kept_out.items() if out[idx]), " or ".join(places))
        for idx in video_idx.tolist()
    ]
