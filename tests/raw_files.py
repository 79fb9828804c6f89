"""Little raw files for the tests of ingest: good rows of every table, written and read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from schemas.raw_files import RAW_FILES
from tasks.ingest.raw_tables import RAW_TABLES, RawTable
from tasks.ingest.reader import Counts, read_raw

GOOD: dict[str, dict[str, str]] = {
    "interactions": {
        "user_id": "1",
        "video_id": "2",
        "play_duration": "500",
        "video_duration": "1000",
        "time": "2020-07-05 00:08:23.438",
        "date": "20200705",
        "timestamp": "1593878903.438",
        "watch_ratio": "0.5",
    },
    "small_matrix": {
        "user_id": "1",
        "video_id": "2",
        "play_duration": "500",
        "video_duration": "1000",
        "time": "",
        "date": "",
        "timestamp": "",
        "watch_ratio": "0.5",
    },
    "users": {"user_id": "1", "follow_user_num_range": '"(0,10]"'},
    "video_tags": {"video_id": "1", "feat": '"[27, 9]"'},
    "video_daily_stats": {"video_id": "1", "date": "20200705"},
    "friends": {"user_id": "1", "friend_list": '"[4202, 7126]"'},
    "captions": {"video_id": "1", "caption": '"一, 二"'},
}
"""One good row of each table, as the text of its fields; what is not named is empty."""

LATEST = datetime(2026, 1, 1, tzinfo=UTC)
"""What the files say is of the past until then, whatever the day of the test."""


@dataclass(frozen=True)
class Outcome:
    """What the reader made of a file."""

    kept: pl.DataFrame
    rejects: pl.DataFrame
    counts: Counts

    @property
    def blamed(self) -> list[tuple[Any, ...]]:
        """Row number, column, rule and value of each reject."""
        return self.rejects.select("row_number", "column", "rule", "value").rows()


def header(table: str) -> str:
    return ",".join(RAW_FILES[table].columns)


def row(table: str, **fields: str) -> str:
    """Return a good row of ``table`` as a line of its file, with some fields set otherwise."""
    return ",".join((GOOD[table] | fields).get(column, "") for column in RAW_FILES[table].columns)


def text_of(table: str, *rows: str) -> str:
    return "\n".join([header(table), *rows]) + "\n"


def read(
    folder: Path, content: str | bytes, table: str = "interactions", how: RawTable | None = None
) -> Outcome:
    """Write ``content`` as the file of ``table``, read it, and put its pieces together."""
    raw = RAW_FILES[table]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / raw.file_name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    scratch = folder / "scratch"
    scratch.mkdir()
    counts = Counts()
    pieces = list(read_raw(path, raw, how or RAW_TABLES[table], scratch, LATEST))
    for piece in pieces:
        counts.add(piece.counts)
    return Outcome(
        _together(piece.kept for piece in pieces),
        _together(piece.rejects for piece in pieces),
        counts,
    )


def read_rows(folder: Path, table: str, rows: Sequence[str]) -> Outcome:
    return read(folder, text_of(table, *rows), table)


def _together(frames: Any) -> pl.DataFrame:
    return pl.concat(list(frames) or [pl.DataFrame()])
