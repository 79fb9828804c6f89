"""Rules of the house, applied: whatever makes lists asks them here, and nobody else applies any.

Here: which videos and users lists may be about, and which of the best a list takes. Not here: where
the rules come from (``tasks.serving.house_rules``). A served model brings them along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.ranking import BLOCK_CELLS, UNLISTED, rank
from tasks.models.array_file import read_arrays, write_arrays
from tasks.models.base import FloatMatrix

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Ids = NDArray[np.int32]

FILE = "list_rules.safetensors"
UNKNOWN_AUTHOR, UNKNOWN_LENGTH, UNKNOWN_DAY = -1, 0, -(2**31)

EXCLUDED_USERS, EXCLUDED = "excluded_users", "excluded_videos"
LENGTH_UNKNOWN, TOO_SHORT, TOO_LONG = "length_unknown", "too_short", "too_long"
CAPPED, BROUGHT_IN = "over_author_cap", "new_brought_in"

WORDS = {
    EXCLUDED_USERS: "users excluded",
    EXCLUDED: "videos excluded",
    LENGTH_UNKNOWN: "videos of unknown length",
    TOO_SHORT: "videos too short",
    TOO_LONG: "videos too long",
    CAPPED: "places lost to the cap of an author",
    BROUGHT_IN: "places given to new videos",
}
"""What rules are counted by, as people read it: users left out, videos in no list, places."""


@dataclass(frozen=True)
class ListRules:
    """What the rules need to know of m videos, by video_idx, and the rules; 0 where one is not set.

    ``author_id`` int64 (m,), ``duration_ms`` int64 (m,), ``uploaded_on`` int64 (m,), in days since
    1970; each with its value for what is not known. ``is_excluded`` bool (m,), ``excluded_users``
    int32, ascending. A video is new if it was uploaded on the day ``new_since`` or later.
    """

    author_id: Ints
    duration_ms: Ints
    uploaded_on: Ints
    is_excluded: Flags
    excluded_users: Ids
    max_per_author: int
    min_ms: int
    max_ms: int
    min_new_share: float
    new_since: int

    def save(self, folder: Path) -> None:
        """Write ``list_rules.safetensors`` into ``folder``."""
        write_arrays(folder / FILE, {name: np.asarray(value) for name, value in vars(self).items()})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what ``save`` wrote; None where there is nothing. ModelError if it is not whole."""
        if not (folder / FILE).is_file():
            return None
        arrays: dict[str, Any] = dict(
            read_arrays(folder / FILE, [field.name for field in fields(cls)])
        )
        return cls(**{name: a if a.ndim else a.item() for name, a in arrays.items()})

    @property
    def is_new(self) -> Flags:
        """Which videos are new: bool (m,)."""
        found: Flags = self.uploaded_on >= self.new_since
        return found

    @property
    def kept_out(self) -> dict[str, Flags]:
        """Which videos are in no list, bool (m,), by the first rule that says so."""
        is_known = self.duration_ms != UNKNOWN_LENGTH
        has_limit = bool(self.min_ms or self.max_ms)
        by_length = {
            LENGTH_UNKNOWN: ~is_known & has_limit,
            TOO_SHORT: is_known & (self.duration_ms < self.min_ms),
            TOO_LONG: is_known & (self.duration_ms > (self.max_ms or np.inf)),
        }
        others = {name: flags & ~self.is_excluded for name, flags in by_length.items()}
        return {EXCLUDED: self.is_excluded, **others}

    @property
    def may_be_listed(self) -> Flags:
        """Which videos may be in lists at all: bool (m,)."""
        out: Flags = np.logical_or.reduce(list(self.kept_out.values()))
        return ~out

    def gets_a_list(self, user_ids: NDArray[np.integer[Any]]) -> Flags:
        """Which users may have a list: bool (len(user_ids),)."""
        excluded: Flags = np.isin(user_ids, self.excluded_users)
        return ~excluded

    def choose(
        self, scores: FloatMatrix, allowed: Flags, n: int
    ) -> tuple[NDArray[np.int32], Counter[str]]:
        """List the columns that each row takes, best first: int32 (rows, n), -1 where no more.

        ``scores`` float32 and ``allowed`` bool are (rows, m). With it comes how many places the cap
        and the share of new videos have changed.
        """
        if not (self.max_per_author or self.min_new_share):
            return rank(scores, allowed, n), Counter()
        rows = max(1, BLOCK_CELLS // max(scores.shape[1], 1))
        chosen, counts = [np.empty((0, n), dtype=np.int32)], Counter[str]()
        for start in range(0, len(scores), rows):
            block = slice(start, start + rows)
            ranked, counted = self._choose(rank(scores[block], allowed[block]), n)
            chosen.append(ranked)
            counts.update(counted)
        return np.concatenate(chosen), counts

    def _choose(
        self, ranked: NDArray[np.int32], n: int
    ) -> tuple[NDArray[np.int32], dict[str, int]]:
        """Choose ``n`` of all columns of each row, which are best first."""
        authors = self._authors()[ranked]
        is_there = ranked != UNLISTED
        plain = first_of(is_there, n)
        taken = first_of(is_there & self._is_within_cap(authors), n)
        counts = {CAPPED: int((plain & ~self._is_within_cap(authors)).sum())}
        is_new = is_there & self.is_new[ranked]
        needed = ceil(self.min_new_share * n - 1e-9)
        is_short = (taken & is_new).sum(axis=1) < needed
        if is_short.any():
            before = taken[is_short]
            rows = (is_there[is_short], is_new[is_short], authors[is_short])
            taken[is_short] = self._with_new(*rows, needed, n)
            counts[BROUGHT_IN] = int((taken[is_short] & ~before).sum())
        return taken_of(ranked, taken, n), counts

    def _with_new(
        self, is_there: Flags, is_new: Flags, authors: Ints, needed: int, n: int
    ) -> Flags:
        """Take the best ``needed`` new ones first, then the best of all; by place in the row."""
        other = authors.max(initial=0) + 1 + np.arange(authors.shape[1])
        apart = np.where(is_new, authors, other).astype(np.int64)
        first = first_of(is_new & self._is_within_cap(apart), needed)
        order = np.argsort(~first, axis=1, kind="stable")
        there: Flags = np.take_along_axis(is_there, order, axis=1)
        theirs: Ints = np.take_along_axis(authors, order, axis=1)
        chosen = first_of(there & self._is_within_cap(theirs), n)
        taken = np.zeros_like(is_there)
        np.put_along_axis(taken, order, chosen, axis=1)
        return taken

    def _is_within_cap(self, authors: Ints) -> Flags:
        """Which places of a row the cap leaves to their author."""
        if not self.max_per_author:
            return np.ones(authors.shape, dtype=bool)
        within: Flags = times_before(authors) < self.max_per_author
        return within

    def _authors(self) -> Ints:
        """Return a small number an author: int64 (m,); who is not known is an author each time."""
        unknown = self.author_id == UNKNOWN_AUTHOR
        codes = np.unique(self.author_id, return_inverse=True)[1].astype(np.int64)
        return np.where(unknown, codes.max(initial=0) + 1 + np.arange(len(codes)), codes)


def times_before(values: Ints) -> Ints:
    """Return how often each of small numbers stood before in its row: int64 (rows, m)."""
    small = values.astype(np.min_scalar_type(int(values.max(initial=0))))
    order = np.argsort(small, axis=1, kind="stable")  # of 16 bits it is a radix sort
    ordered = np.take_along_axis(small, order, axis=1)
    places = np.arange(values.shape[1])
    is_start = np.ones(values.shape, dtype=bool)
    is_start[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = np.maximum.accumulate(np.where(is_start, places, 0), axis=1)
    times = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(times, order, places - starts, axis=1)
    return times


def first_of(flags: Flags, n: int) -> Flags:
    """Return the first ``n`` of each row that are set."""
    first: Flags = flags & (np.cumsum(flags, axis=1) <= n)
    return first


def taken_of(ranked: NDArray[np.int32], taken: Flags, n: int) -> NDArray[np.int32]:
    """Return the columns that are taken, in their order: int32 (rows, n), -1 where no more."""
    found = np.full((len(ranked), n), UNLISTED, dtype=np.int32)
    rows, places = np.nonzero(taken)
    found[rows, np.cumsum(taken, axis=1)[rows, places] - 1] = ranked[rows, places]
    return found


def words(counts: Mapping[str, int]) -> str:
    """Say in one line what rules did to lists; empty where they did nothing."""
    said = ", ".join(f"{counts[name]} {text}" for name, text in WORDS.items() if counts.get(name))
    return f"rules of the house: {said}" if said else ""
