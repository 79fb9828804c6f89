"""Turns the rows of ``users`` and ``videos`` into arrays: categories and values.

Every category column has two buckets of its own before its values: ``RARE`` for values that are
new, or that too few learned rows share (a rare author), and ``NULL`` for missing ones. So a row
with anything unknown in it can always be encoded.

A column of few buckets is laid out as so many columns of zeros with a one in it, beside the
numbers: one matrix product is many times faster than looking up a row of a table for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from schemas.raw_columns import (
    CAPTION_COLUMNS,
    DAILY_COLUMNS,
    USER_COLUMNS,
    features_among,
)

RARE, NULL, FIRST = 0, 1, 2
"""Places in a column's part of the category table: the two special buckets, then the values."""
FEW = 64
"""A category column of at most so many buckets is laid out, one of more is looked up."""

_VIDEO_COLUMNS = (*DAILY_COLUMNS, *CAPTION_COLUMNS)
USER_CATEGORIES = tuple(features_among(USER_COLUMNS, "category"))
USER_NUMBERS = tuple(features_among(USER_COLUMNS, "number"))
VIDEO_CATEGORIES = tuple(features_among(_VIDEO_COLUMNS, "category"))
VIDEO_NUMBERS = (
    *("duration_ms", "plays", "likes", "like_view_ratio", "complete_play_ratio"),
    *features_among(_VIDEO_COLUMNS, "number"),
)
"""Views and enjoyment in the log are left out: the label of a pair is part of them."""


@dataclass(frozen=True)
class Features:
    """Rows ready for a tower.

    ``categories`` (n, columns) int32 are rows of the tower's category table, one for each column of
    many buckets. ``values`` (n, width) float32 have, in this order, a column for each bucket of the
    other category columns, 1 where the row is in it; the numbers' standardised logarithms; their
    null flags; and the row's tags, each with an equal share of 1: a row without tags is all 0.
    """

    categories: NDArray[np.int32]
    values: NDArray[np.float32]


class Encoder(BaseModel):
    """What must be known to encode a row: the values of each category, the scale of each number."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    categories: dict[str, list[str]]
    numbers: dict[str, tuple[float, float]]
    n_tags: int

    @classmethod
    def learn(
        cls,
        frame: pl.DataFrame,
        categories: tuple[str, ...],
        numbers: tuple[str, ...],
        min_rows: int,
    ) -> Self:
        """Learn vocabularies (values of at least ``min_rows`` rows) and scales from ``frame``."""
        logs = frame.select(pl.col(numbers).cast(pl.Float64).log1p())
        scales = {name: (logs[name].mean() or 0.0, logs[name].std() or 1.0) for name in numbers}
        n_tags = 0
        if "tags" in frame.columns:
            n_tags = 1 + max(frame["tags"].explode().drop_nulls().to_list(), default=-1)
        return cls(
            categories={name: _frequent(frame[name], min_rows) for name in categories},
            numbers=scales,
            n_tags=n_tags,
        )

    @property
    def n_categories(self) -> int:
        """Rows of the category table: looked-up columns' buckets, one after the other."""
        return sum(
            FIRST + len(values) for values in self.categories.values() if is_looked_up(values)
        )

    def encode(self, frame: pl.DataFrame) -> Features:
        """Encode the rows of ``frame``; values never learned fall into the column's RARE bucket."""
        looked_up, laid_out, offset = [], [], 0
        for name, values in self.categories.items():
            places = _places(frame[name], values)
            if is_looked_up(values):
                looked_up.append(offset + places)
                offset += FIRST + len(values)
            else:
                laid_out.append(np.eye(FIRST + len(values))[places])
        numbers = [self._standardised(frame[name]) for name in self.numbers]
        nulls = [frame[name].is_null().to_numpy() for name in self.numbers]
        columns = [*laid_out, *(column[:, None] for column in (*numbers, *nulls))]
        none = np.empty((frame.height, 0))
        return Features(
            np.column_stack([none, *looked_up]).astype(np.int32),
            np.hstack([none, *columns, self._tag_shares(frame)]).astype(np.float32),
        )

    def _standardised(self, column: pl.Series) -> NDArray[Any]:
        mean, deviation = self.numbers[column.name]
        logs = column.cast(pl.Float64).log1p()
        return ((logs - mean) / deviation).fill_null(0.0).to_numpy()

    def _tag_shares(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        shares = np.zeros((frame.height, self.n_tags), dtype=np.float32)
        if self.n_tags:
            tagged = frame.select(pl.row_index("row"), "tags").explode("tags").drop_nulls()
            tagged = tagged.filter(pl.col("tags") < self.n_tags)
            shares[tagged["row"].to_numpy(), tagged["tags"].to_numpy()] = 1.0
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
        return shares


def is_looked_up(values: list[str]) -> bool:
    """Whether a column of these values, and the two special buckets, has a part of the table."""
    return FIRST + len(values) > FEW


def _frequent(column: pl.Series, min_rows: int) -> list[str]:
    counts = column.cast(pl.String).drop_nulls().value_counts(name="rows")
    return counts.filter(pl.col("rows") >= min_rows)[column.name].sort().to_list()


def _places(column: pl.Series, values: list[str]) -> NDArray[np.int64]:
    places = pl.Series(range(FIRST, FIRST + len(values)), dtype=pl.Int64)
    known = column.cast(pl.String).replace_strict(
        pl.Series(values, dtype=pl.String), places, default=RARE, return_dtype=pl.Int64
    )
    return np.where(column.is_null().to_numpy(), NULL, known.to_numpy())
