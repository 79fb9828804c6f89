"""How much of the log the other files know: a file that lost its rows is no error, but is said."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import polars as pl

from schemas.raw_files import RAW_FILES

LEAST_COVERED = 0.9
"""KuaiRec's files cover their log wholly; below this share a warning is due."""


class Covering(NamedTuple):
    """A file that should know all the users or videos of another."""

    table: str
    column: str
    of: str = "interactions"


COVERINGS = (
    Covering("users", "user_id"),
    Covering("video_tags", "video_id"),
    Covering("video_daily_stats", "video_id"),
    Covering("captions", "video_id"),
    Covering("interactions", "user_id", of="small_matrix"),
)


def coverage_of(tables: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Return rows of ``coverage``: for each file how many ids of the other it knows."""
    rows = []
    for table, column, other in COVERINGS:
        if table not in tables or other not in tables:
            continue
        known, asked = (tables[name].select(pl.col(column).unique()) for name in (table, other))
        there = asked.collect()
        covered = there.join(known.collect(), on=column, how="semi").height
        rows.append(
            {
                "file": RAW_FILES[table].file_name,
                "column": column,
                "of": RAW_FILES[other].file_name,
                "ids": there.height,
                "covered": covered,
                "share": covered / max(there.height, 1),
            }
        )
    return pl.DataFrame(rows)


def lines_of(coverage: pl.DataFrame) -> Iterator[tuple[str, bool]]:
    """Say each row of ``coverage`` in a line, and whether it is so little that it is a warning."""
    for row in coverage.iter_rows(named=True):
        what = row["column"].removesuffix("_id") + "s"
        line = (
            f"{row['file']} covers {row['covered']:,} of the {row['ids']:,} {what} in {row['of']}"
            f" ({row['share']:.0%})"
        )
        is_little = row["share"] < LEAST_COVERED
        yield line + (": is it whole? Compare it with the original" if is_little else ""), is_little
