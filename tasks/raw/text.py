"""Raw CSV files as text: header, row numbers, and rows of every length; no type is guessed."""

import csv
from pathlib import Path

import polars as pl

from schemas.errors import ContractError
from schemas.raw import RawFile

ROW = "row_number"
SURPLUS = "surplus"
"""Holds the first field too many of a row; null in a good row."""
NULLS = ("", "None", "NaN", "NA", "null", "nan", "NULL", "N/A", "<NA>")
"""What programs write for a value that is not there; an empty field in quotes is none either."""
IS_UNEVEN = "is_uneven"
"""True where a row has not as many fields as the header."""


def scan_text(path: Path, raw: RawFile) -> pl.LazyFrame:
    """Scan a CSV file with every column as text, plus row_number from 1, surplus and is_uneven.

    Missing and empty fields are null. In a file without quotes a row that is too short is left to
    the rules of the columns it lacks. ContractError if the file is empty, its header is not the
    expected one (columns may stand in any order), or a quote in it is broken.
    """
    columns = _header(path, raw)
    uneven = pl.col(SURPLUS).is_not_null()
    if raw.is_quoted:
        uneven |= pl.col(ROW).is_in(_uneven_rows(path, len(columns)))
    return (
        pl.scan_csv(
            path,
            has_header=False,
            skip_lines=1,
            schema={**dict.fromkeys(columns, pl.String), SURPLUS: pl.String},
            quote_char='"' if raw.is_quoted else None,
            null_values=list(NULLS) if raw.has_nulls else None,
            missing_columns="insert",
            extra_columns="ignore",
            truncate_ragged_lines=True,
            glob=False,
        )
        .with_row_index(ROW, offset=1)
        .with_columns(uneven.alias(IS_UNEVEN))
    )


def has_any(path: Path, raw: RawFile, column: str) -> bool:
    """Tell whether any row of the file has a text in ``column``."""
    present = scan_text(path, raw).select(pl.col(column).is_not_null().any())
    try:
        return bool(present.collect().item())
    except pl.exceptions.ComputeError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> ContractError:
    """Say where a file that the CSV reader gave up on is broken."""
    row = _undecodable_row(path)
    reason = str(error).split("\n")[0] if row is None else "not UTF-8 text"
    return _damaged(path, reason, row)


def _header(path: Path, raw: RawFile) -> list[str]:
    with path.open("rb") as file:
        line = file.readline()
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise ContractError(f"{path.name}, header: not UTF-8 text: {error}") from error
    if not text:
        raise ContractError(f"{path.name} is empty: expected a header and rows. Fetch it again")
    columns = next(csv.reader([text]))
    missing = [c for c in raw.columns if c not in columns]
    unknown = [c for c in columns if c not in raw.columns]
    doubled = sorted({c for c in columns if columns.count(c) > 1})
    if missing or unknown or doubled:
        raise ContractError(
            f"{path.name}, header: missing columns {missing}, unknown columns {unknown}, doubled"
            f" columns {doubled}; expected {list(raw.columns)}"
        )
    return columns


def _uneven_rows(path: Path, width: int) -> list[int]:
    """Return the data rows without exactly ``width`` fields; ContractError at a broken quote.

    Polars fills a short row with nulls, which many columns allow, and lets a stray quote swallow
    rows; so the fields of the smaller files are counted on their own.
    """
    uneven = []
    row = -1
    with path.open("rb") as file:
        # A bare carriage return is text (captions have some), but not to the csv module
        lines = (line.decode().replace("\r", "") for line in file)
        try:
            for row, fields in enumerate(csv.reader(lines, strict=True)):
                if len(fields) != width:
                    uneven.append(row)
        except UnicodeDecodeError as error:
            raise _damaged(path, "not UTF-8 text", row + 1) from error
        except csv.Error as error:
            raise _damaged(path, f"broken quote, {error}", row + 1) from error
    return uneven


def _undecodable_row(path: Path) -> int | None:
    """Return the first data row (line after the header) that is not UTF-8."""
    with path.open("rb") as file:
        for row, line in enumerate(file):
            try:
                line.decode()
            except UnicodeDecodeError:
                return row
    return None


def _damaged(path: Path, reason: str, row: int | None) -> ContractError:
    where = path.name if row is None else f"{path.name}, data row {row}"
    return ContractError(f"{where}: {reason}. The file is cut or damaged: fetch it again")
