"""The log of the benchmark of a year: each day comes in a file of its own, and the oldest go."""

from pathlib import Path

import polars as pl

from benchmarks.year import WINDOW, GrowingLog


def test_a_day_comes_and_the_oldest_goes_and_rows_have_the_day_of_their_file(
    tmp_path: Path,
) -> None:
    log = GrowingLog(tmp_path / "world")
    log.turn_to(WINDOW)
    first = {file.name for file in (tmp_path / "world" / "big_matrix").iterdir()}
    log.turn_to(WINDOW + 2)
    files = sorted((tmp_path / "world" / "big_matrix").iterdir())
    assert len(files) == len(first) == WINDOW
    assert len(first - {file.name for file in files}) == 2
    for file in files[-2:]:
        rows = pl.read_csv(file, infer_schema=False)
        assert set(rows["date"]) == {file.stem}
        clock = pl.from_epoch(rows["timestamp"].cast(pl.Float64).cast(pl.Int64), "s")
        said = rows["time"].str.slice(0, 19).str.to_datetime()
        assert set(said - clock) == {said[0] - clock[0]}  # the same zone's
