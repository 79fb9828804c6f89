"""A file that knows few of the log's users or videos is told from a whole one."""

import polars as pl
import pytest

from schemas.tables import CONTRACTS
from tasks.ingest.coverage import coverage_of, lines_of


def ids(**columns: list[int]) -> pl.LazyFrame:
    return pl.LazyFrame(columns, schema=dict.fromkeys(columns, pl.Int32))


LOG = ids(user_id=[1, 1, 2, 3, 4], video_id=[7, 8, 8, 9, 10])


def covered(**tables: pl.LazyFrame) -> pl.DataFrame:
    return CONTRACTS["coverage"].validate(coverage_of({"interactions": LOG} | tables))


def test_shares_are_of_distinct_ids_in_the_log() -> None:
    table = covered(users=ids(user_id=[1, 2, 3, 99, 98]), video_tags=ids(video_id=[7, 8, 9, 10]))
    assert table.select("file", "of", "ids", "covered", "share").rows() == [
        ("user_features.csv", "big_matrix.csv", 4, 3, 0.75),
        ("item_categories.csv", "big_matrix.csv", 4, 4, 1.0),
    ]


def test_a_log_that_was_cut_lacks_users_of_the_block() -> None:
    table = covered(small_matrix=ids(user_id=[1, 2, 5, 6, 7, 8], video_id=[1] * 6))
    assert table.select("file", "of", "covered", "share").rows() == [
        ("big_matrix.csv", "small_matrix.csv", 2, 1 / 3)
    ]


@pytest.mark.parametrize(("known", "is_little"), [([7], True), ([7, 8, 9, 10], False)])
def test_little_is_a_warning_that_names_file_and_figures(known: list[int], is_little: bool) -> None:
    ((line, warned),) = lines_of(covered(video_tags=ids(video_id=known)))
    assert warned is is_little
    assert line.startswith(f"item_categories.csv covers {len(known)} of the 4 videos in big_matrix")
    assert ("is it whole?" in line) is is_little
