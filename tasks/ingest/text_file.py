"""Raw files that are no plain CSV, as CSV: what is packed is unpacked, Parquet written as text.

So the same rules are kept by the same reader, whatever kind a file is of.
"""

import gzip
import shutil
import zlib
from pathlib import Path

import polars as pl

from schemas.errors import ContractError
from tasks.ingest.dialect import MOST_SHOWN

READ_AT_ONCE = 2**20


def text_file(path: Path, folder: Path) -> Path:
    """Return ``path`` itself, or a file of its name in ``folder`` with its rows as CSV.

    ContractError if it cannot be read.
    """
    if not path.name.endswith((".gz", ".parquet")):
        return path
    text = folder / path.name
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path) as packed, text.open("wb") as plain:
                shutil.copyfileobj(packed, plain, READ_AT_ONCE)
        else:
            pl.scan_parquet(path, glob=False).sink_csv(text, datetime_format=_CLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ContractError(f"{path.name} cannot be unpacked, {error}. Fetch it again") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n")[0][:MOST_SHOWN]
        raise ContractError(
            f"{path.name} is no readable Parquet, {reason}. Fetch it again"
        ) from error
    return text


_CLOCK = "%Y-%m-%d %H:%M:%S%.3f"
