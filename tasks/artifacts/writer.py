"""An artefact in the making: its rows are checked against their contract, then written.

Not here: where it goes (``tasks.artifacts.store``).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.errors import SchemaErrors

from schemas.artifacts import ArtifactRef
from schemas.errors import ContractError
from schemas.tables import CONTRACTS

for late in ("builtin_checks", "checks", "components", "container"):
    # pandera imports them at its first validation, which may be one of two at a time
    import_module(f"pandera.backends.polars.{late}")

DATA = "data.parquet"


class ArtifactWriter:
    """An artefact in the making: rows are appended to it, or files written into ``folder``.

    As a context, it writes nothing more after its end.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Start a writer of the artefact ``name`` in an empty folder."""
        self.folder = folder
        self.name = name
        self.metadata: dict[str, Any] = {}
        self.rows: int | None = None
        self.ref: ArtifactRef | None = None
        self._writer: pq.ParquetWriter | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"write-{name}")
        self._writing: Future[None] | None = None

    def append(self, frame: pl.DataFrame, sizes: Sequence[int] = ()) -> None:
        """Check ``frame`` against the table's contract and write it as one row group.

        Or as several, of these ``sizes``: a check costs more than the rows of a small one.

        It is written while the caller makes the next one; what goes wrong then is raised by the
        next call, or by ``close``.

        Checks that look across rows (uniqueness) see one call at a time: the caller cuts a large
        table so that equal keys fall into one call. ContractError lists what is wrong. ValueError:
        the sizes do not add up to the rows, of which some would be lost.
        """
        sizes = sizes or [frame.height]
        if sum(sizes) != frame.height:
            raise ValueError(f"{self.name}: {frame.height} rows, row groups of {sum(sizes)}")
        frame = validated(frame, self.name)
        self._wait()
        self._writing = self._thread.submit(self._write, frame, sizes)
        self.rows = (self.rows or 0) + frame.height

    def close(self) -> None:
        """Finish the Parquet file; without any append there is none."""
        self._wait()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End its thread, after what is being written."""
        self._thread.shutdown()

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _write(self, frame: pl.DataFrame, sizes: Sequence[int]) -> None:
        table = frame.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self.folder / DATA,
                table.schema,
                compression="zstd",
                use_dictionary=[f.name for f in table.schema if _is_repetitive(f.type)],
                write_page_checksum=True,
            )
        # left to itself, pyarrow cuts at 2**20 rows
        ends = accumulate(sizes)
        for size, end in zip(sizes, ends, strict=True):
            group = table.slice(end - size, size)
            self._writer.write_table(group, row_group_size=max(1, size))


def validated(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return ``frame`` if it keeps the contract of table ``name``; ContractError otherwise."""
    try:
        return CONTRACTS[name].validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.head(5).select("column", "check", "failure_case").rows()
        shown = "; ".join(f"column {c}: {check} fails for {case}" for c, check, case in cases)
        raise ContractError(
            f"table {name} breaks its contract ({error.failure_cases.height} failures): {shown}"
        ) from error


def _is_repetitive(kind: pa.DataType) -> bool:
    """Whether a dictionary of a column's values is worth its time, as values repeat.

    Measures and times seldom do. Without theirs, the log is written in two thirds of the time and
    is no larger.
    """
    return not (pa.types.is_floating(kind) or pa.types.is_timestamp(kind))
