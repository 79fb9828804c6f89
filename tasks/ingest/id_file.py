"""A person's file of ids, users or videos: CSV with a header, or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ContractError
from tasks.ingest.column_rules import whole
from tasks.ingest.csv_text import ROW
from tasks.ingest.dialect import shown

PARQUET_MAGIC = b"PAR1"
MOST_NAMED = 5


@dataclass(frozen=True)
class Ids:
    """Ids as they stand in a file, each once, int32 (n,); and what there is to say of the file."""

    ids: NDArray[np.int32]
    notes: tuple[str, ...]


def read_ids(path: Path, column: str, *, may_be_empty: bool = False) -> Ids:
    """Read the ids in ``column`` of a file; other columns do not matter.

    A row whose value is no id is left out and named in the notes; an id that stands there again
    counts once. ContractError if the file cannot be read, lacks the column, or holds no id; one
    without any row passes where it ``may_be_empty``.
    """
    text = _column(path, column)
    rule = whole(column)
    broken = pl.any_horizontal(r.broken for r in rule.rules)
    rows = text.to_frame().with_row_index(ROW, offset=1)
    refused = rows.filter(broken)
    ids = rows.filter(~broken).select(rule.typed)[column]
    if ids.is_empty() and not (may_be_empty and rows.is_empty()):
        raise ContractError(
            f"{path.name} holds no {column}" + "".join(f"; {n}" for n in _refusals(path, refused))
        )
    once = ids.unique(maintain_order=True)
    notes = _refusals(path, refused)
    if repeats := len(ids) - len(once):
        notes += (f"{path.name}: {repeats} rows repeat an id and count once",)
    return Ids(once.to_numpy(), notes)


def some(values: Sequence[object]) -> str:
    """Name the first few of many."""
    rest = len(values) - MOST_NAMED
    named = ", ".join(map(str, values[:MOST_NAMED]))
    return f"{named} and {rest} more" if rest > 0 else named


def _refusals(path: Path, refused: pl.DataFrame) -> tuple[str, ...]:
    if refused.is_empty():
        return ()
    named = [f"row {row} ({'no value' if v is None else shown(v)})" for row, v in refused.rows()]
    return (f"{path.name}: no id in {refused.height} rows, left out: {some(named)}",)


def _column(path: Path, column: str) -> pl.Series:
    """Return a column as text, whatever its type; empty fields are null."""
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        if is_parquet:
            frame = pl.read_parquet(path, glob=False)
        else:
            frame = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, glob=False)
        if column in frame.columns:
            return frame[column].cast(pl.String)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ContractError(f"{path} cannot be read as CSV or Parquet: {shown(reason)}") from error
    there = some([shown(c)[1:-1] for c in frame.columns])
    raise ContractError(f"{path.name} has no column {column}: it has {there}")
