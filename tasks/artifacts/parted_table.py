"""Tables of a row per user and video, read part by part: memory need not grow with the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from scipy import sparse


@dataclass(frozen=True)
class PartedTable:
    """The rows of a table ordered by user_idx and video_idx, in parts that hold whole users.

    ``read_parts`` yields the parts in order, anew at each call, with the columns it is given, all
    for None; at least one, which may be empty. There are at most ``height`` rows.
    """

    read_parts: Callable[[Sequence[str] | None], Iterable[pl.DataFrame]]
    height: int

    @classmethod
    def of(cls, *parts: pl.DataFrame) -> Self:
        """Take parts that lie in memory."""

        def chosen(columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
            return (part.select(columns or pl.all()) for part in parts)

        return cls(chosen, sum(part.height for part in parts))

    def parts(self, *columns: str) -> Iterator[pl.DataFrame]:
        """Yield the parts that have rows, with these columns; all columns if none is named."""
        return (part for part in self.read_parts(columns or None) if part.height)

    def read(self, *columns: str) -> pl.DataFrame:
        """Return all rows at once, with these columns; all columns if none is named."""
        return pl.concat(self.read_parts(columns or None))

    def where(self, keep: pl.Expr) -> PartedTable:
        """Return the rows that ``keep``, which may look at any column."""

        def kept(columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
            needed = columns and list(dict.fromkeys([*columns, *keep.meta.root_names()]))
            for part in self.read_parts(needed):
                yield part.filter(keep).select(columns or pl.all())

        return PartedTable(kept, self.height)

    def matrix(self, values: str, shape: tuple[int, int]) -> sparse.csr_matrix:
        """Return a column as float32 CSR of ``shape``: 8 bytes a row, of which there is no copy."""
        video_idx = np.empty(self.height, dtype=np.int32)
        data = np.empty(self.height, dtype=np.float32)
        counts = np.zeros(shape[0], dtype=np.int64)
        end = 0
        for part in self.parts("user_idx", "video_idx", values):
            rows = slice(end, end := end + part.height)
            video_idx[rows], data[rows] = part["video_idx"].to_numpy(), part[values].to_numpy()
            counts += np.bincount(part["user_idx"].to_numpy(), minlength=shape[0])
        starts = np.concatenate([[0], np.cumsum(counts)])
        return sparse.csr_matrix((data[:end], video_idx[:end], starts), shape=shape)
