"""Raw CSV files as text: header, row numbers, and rows of every length; no type is guessed."""

from pathlib import Path

import polars as pl

from schemas.errors import ContractError
from schemas.raw import RawFile

ROW = "row_number"
SURPLUS = "surplus"
"""Holds the first field too many of a row; null in a good row."""


def scan_text(path: Path, raw: RawFile) -> pl.LazyFrame:
    """Scan a CSV file with every column as text, plus ``row_number`` from 1 and ``surplus``.

    Missing fields are null. ContractError if the file is empty or its header is not the expected
    one (columns may stand in any order).
    """
    columns = _header(path, raw)
    return pl.scan_csv(
        path,
        has_header=False,
        skip_lines=1,
        schema={**dict.fromkeys(columns, pl.String), SURPLUS: pl.String},
        missing_columns="insert",
        truncate_ragged_lines=True,
    ).with_row_index(ROW, offset=1)


def has_any(path: Path, raw: RawFile, column: str) -> bool:
    """Tell whether any row of the file has a text in ``column``."""
    present = scan_text(path, raw).select(pl.col(column).is_not_null().any())
    try:
        return bool(present.collect().item())
    except pl.exceptions.ComputeError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> ContractError:
    """Say where a file that the CSV reader gave up on is broken."""
    row = _open_quote(path)
    where = (
        f"data row {row}: a quote is opened and never closed" if row else str(error).split("\n")[0]
    )
    return ContractError(f"{path.name}, {where}. The file is cut or damaged: fetch it again")


def _header(path: Path, raw: RawFile) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            line = file.readline().strip("\r\n")
        except UnicodeDecodeError as error:
            raise ContractError(f"{path.name} is not UTF-8 text: {error}") from error
    if not line:
        raise ContractError(f"{path.name} is empty: expected a header and rows. Fetch it again")
    columns = line.split(",")
    missing = [c for c in raw.columns if c not in columns]
    unknown = [c for c in columns if c not in raw.columns]
    if missing or unknown or len(set(columns)) < len(columns):
        raise ContractError(
            f"{path.name}, header: missing columns {missing}, unknown columns {unknown},"
            f" {len(columns)} in all; expected {list(raw.columns)}"
        )
    return columns


def _open_quote(path: Path) -> int | None:
    """Return the data row in which the last, never closed quote opens; None if all are closed."""
    opened = None
    with path.open("rb") as file:
        for row, line in enumerate(file):
            if line.count(b'"') % 2:
                opened = row if opened is None else None
    return opened
