"""Raw CSV files as text: header, row numbers, and rows of every length; no type is guessed."""

from pathlib import Path

import polars as pl

from schemas.errors import ContractError
from schemas.raw_files import RawFile
from tasks.ingest.dialect import MOST_SHOWN, damaged, dialect_of, undecodable

ROW = "row_number"
EXTRA = "extra_fields"
"""Holds the first field too many of a row; null in a good row."""
NULLS = ("", "None", "NaN", "NA", "null", "nan", "NULL", "N/A", "<NA>")
"""What programs write for a value that is not there; an empty field in quotes is none either."""
WHOLE_ROW = "(row)"
"""What is blamed, for people, where a row has not as many fields as the header."""
IS_UNEVEN = "is_uneven"
"""True where a row has not as many fields as the header."""


def scan_text(path: Path, raw: RawFile) -> pl.LazyFrame:
    """Scan a CSV file with every column as text; row_number (from 1), extra_fields and is_uneven.

    Missing and empty fields are null; blank lines at the end are no rows. In a file without quotes
    a row that is too short is left to the rules of the columns it lacks. ContractError if the file
    is empty, written in a way that is not read (``dialect``), or a quote in it is broken.
    """
    dialect = dialect_of(path, raw)
    uneven = pl.col(EXTRA).is_not_null()
    if dialect.uneven:
        uneven |= pl.col(ROW).is_in(dialect.uneven)
    nulls = NULLS if raw.has_nulls else ("",)
    if not dialect.is_quoted:  # where quotes are read, this would be one quote
        nulls = (*nulls, '""') if raw.has_nulls else ()
    text = pl.scan_csv(
        path,
        has_header=False,
        skip_lines=1,
        schema={**dict.fromkeys(dialect.columns, pl.String), EXTRA: pl.String},
        quote_char='"' if dialect.is_quoted else None,
        null_values=list(nulls) or None,
        missing_columns="insert",
        extra_columns="ignore",
        truncate_ragged_lines=True,
        glob=False,
    )
    if dialect.rows is not None:
        text = text.head(dialect.rows)
    return text.with_row_index(ROW, offset=1).with_columns(uneven.alias(IS_UNEVEN))


def has_any(path: Path, raw: RawFile, column: str) -> bool:
    """Tell whether any row of the file has a text in ``column``."""
    present = scan_text(path, raw).select(pl.col(column).is_not_null().any())
    try:
        return bool(present.collect().item())
    except pl.exceptions.ComputeError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> ContractError:
    """Say where a file that the CSV reader gave up on is broken."""
    reason = str(error).split("\n")[0][:MOST_SHOWN]
    return undecodable(path) or damaged(path, f"no readable CSV, {reason}")
