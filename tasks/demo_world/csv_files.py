"""How the files are written: CSV piece by piece, the truth without pickle, the marker."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import polars as pl

from schemas.raw_files import RAW_FILES
from tasks.demo_world.params import GENERATOR_VERSION
from tasks.demo_world.videos import Floats, Ints

TRUTH_FILE = "truth.npz"
MARKER_FILE = "demo.json"


class CsvFile:
    """A CSV file of KuaiRec that grows by frames; used as a context manager."""

    def __init__(self, folder: Path, table: str) -> None:
        """Name the table by its key in ``schemas.raw_files.RAW_FILES``; nothing is written yet."""
        raw = RAW_FILES[table]
        self.path = folder / raw.file_name
        self.columns = raw.columns
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        """Open the file and write its header."""
        self._file = self.path.open("wb")
        self._file.write((",".join(self.columns) + "\n").encode())
        return self

    def append(self, frame: pl.DataFrame) -> None:
        """Write rows; floats are printed so that they read back as the same number."""
        frame.select(self.columns).write_csv(
            self._file, include_header=False, datetime_format="%Y-%m-%d %H:%M:%S%.3f"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()


def write_table(folder: Path, table: str, pieces: Iterable[pl.DataFrame]) -> None:
    """Write all pieces of a table, in order."""
    with CsvFile(folder, table) as file:
        for piece in pieces:
            file.append(piece)


class TruthFile:
    """``truth.npz``: user_id (n), video_id (m) and expected_enjoyment (n, m); a context manager.

    The matrix is written user by user, because it may be larger than all else in memory.
    """

    def __init__(self, folder: Path, user_id: Ints, video_id: Ints) -> None:
        """Take the ids of rows and columns; nothing is written yet."""
        self.path = folder / TRUTH_FILE
        self.user_id = user_id.astype(np.int32)
        self.video_id = video_id.astype(np.int32)
        self._stack = ExitStack()
        self._matrix: IO[bytes]

    def __enter__(self) -> Self:
        """Write the ids and the header of the matrix."""
        archive = self._stack.enter_context(zipfile.ZipFile(self.path, "w"))
        for name in ("user_id", "video_id"):
            with _entry(archive, name) as file:
                np.lib.format.write_array(file, getattr(self, name), allow_pickle=False)
        self._matrix = self._stack.enter_context(_entry(archive, "expected_enjoyment"))
        shape = (len(self.user_id), len(self.video_id))
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._matrix, header)
        return self

    def append(self, expected: Floats) -> None:
        """Write the next users' rows (users, m)."""
        self._matrix.write(np.ascontiguousarray(expected, dtype="<f4").data.cast("B"))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish matrix and archive."""
        self._stack.close()


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open an array's place in the archive; its time is fixed: same arrays, same bytes."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def write_marker(folder: Path, scale: float, seed: int) -> None:
    """Write ``demo.json``, by which the pipeline knows that nothing here is real."""
    marker = {"demo": True, "scale": scale, "seed": seed, "generator": GENERATOR_VERSION}
    (folder / MARKER_FILE).write_text(json.dumps(marker) + "\n")
