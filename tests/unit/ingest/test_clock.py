"""A row's timestamp, time and date must agree; where most do not, the error says in what way."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from tasks.ingest.task import ingested
from tests.raw_files import GOOD, LATEST, read_rows, row, text_of

STAMP = float(GOOD["interactions"]["timestamp"])
TIME = "timestamp on Shanghai's clock, to a second, as 2020-07-05 00:08:23.438"
DATE = "the day of timestamp in Shanghai, to a day, as 20200705"


def blamed(folder: Path, table: str, **fields: str) -> list[tuple[str, str]]:
    """Read a row beside a good one; return column and rule of what is said against it."""
    out = read_rows(folder, table, [row(table), row(table, user_id="7", **fields)])
    assert out.counts.read == 2
    return [(column, rule) for _, column, rule, _ in out.blamed]


@pytest.mark.parametrize("table", ["interactions", "small_matrix"])
@pytest.mark.parametrize(
    ("time", "date", "timestamp"),
    [
        ("2020-07-05 00:08:23.438", "20200705", "1593878903.438"),
        ("2020-07-05 00:08:23.438", "20200705.0", "1593878903.438"),
        ("2020-07-05 00:08:23.438", "20200706", "1593878903.438"),  # a partition a day late
        ("2020-07-05 00:08:23.438", "20200704", "1593878903.438"),
        ("2020-07-05 00:08:23", "20200705", "1593878903.438"),
        ("2020-07-05T00:08:23.438000", "20200705", "1593878903.438"),
        ("", "", "1593878903.438"),
        ("2020-07-04 23:59:59.999", "20200704", "1593878399.999"),
    ],
)
def test_what_agrees_is_kept(
    tmp_path: Path, table: str, time: str, date: str, timestamp: str
) -> None:
    assert blamed(tmp_path, table, time=time, date=date, timestamp=timestamp) == []


@pytest.mark.parametrize("table", ["interactions", "small_matrix"])
@pytest.mark.parametrize(
    ("column", "rule", "text"),
    [
        ("time", TIME, "2020-07-04 16:08:23.438"),  # UTC, written as Shanghai's clock
        ("time", TIME, "2020-07-05 08:08:23.438"),  # 8 h once too often
        ("time", TIME, "2020-07-05 00:08:25.438"),
        ("time", TIME, "2020/07/05 00:08:23.438"),
        ("time", TIME, "2020-7-5 0:08:23"),
        ("time", TIME, "2020-07-05"),
        ("time", TIME, "2020-02-30 00:08:23"),
        ("time", TIME, "08:23.4"),
        ("date", DATE, "20200707"),
        ("date", DATE, "20200703"),
        ("date", DATE, "20210705"),
        ("date", DATE, "2020-07-05"),
        ("time", TIME, "2020-07-05 00:08:23+08:00"),
    ],
)
def test_what_disagrees_is_rejected(
    tmp_path: Path, table: str, column: str, rule: str, text: str
) -> None:
    fields = GOOD["interactions"] | {column: text}
    picked = {name: fields[name] for name in ("time", "date", "timestamp")}
    assert blamed(tmp_path, table, **picked) == [(column, rule)]


@pytest.mark.parametrize("rounded", ["1.59388E+09", "1593880000", "1593878912"])
def test_rounded_timestamp_is_rejected(tmp_path: Path, rounded: str) -> None:
    """As a spreadsheet shows it, to 10,000 s, and as 32 bits hold it."""
    assert blamed(tmp_path, "interactions", timestamp=rounded) == [("time", TIME)]


def test_cell_with_a_time_and_no_timestamp_is_no_stage_two(tmp_path: Path) -> None:
    fields = {"time": GOOD["interactions"]["time"], "timestamp": ""}
    assert blamed(tmp_path, "small_matrix", **fields) == [("timestamp", "present where time is")]


@pytest.mark.parametrize("neighbour", ["2020-07-05 00:08:23.438", "no time at all"])
def test_time_is_read_the_same_whatever_stands_beside_it(tmp_path: Path, neighbour: str) -> None:
    times = ["2020-07-05 00:08:23.438", "2020-07-05T00:08:23", "2020-07-05 00:08", "2020-07-05"]
    rows = [row("interactions", user_id=str(n), time=time) for n, time in enumerate(times)]
    out = read_rows(tmp_path, "interactions", [*rows, row("interactions", time=neighbour)])
    assert {blame[0] for blame in out.blamed} - {5} == {3, 4}


def refusal(folder: Path, rows: list[str], now: datetime = LATEST) -> str:
    path = folder / "big_matrix.csv"
    path.write_text(text_of("interactions", *rows))
    (folder / "scratch").mkdir()
    with pytest.raises(ContractError) as caught:
        list(ingested(path, "interactions", folder / "scratch", 0.01, now))
    return str(caught.value)


def shifted(hours: float, n: int) -> list[str]:
    stamps = (f"{STAMP + hours * 3600:.3f}" for _ in range(n))
    return [row("interactions", user_id=str(i), timestamp=s) for i, s in enumerate(stamps)]


@pytest.mark.parametrize(
    ("hours", "said"), [(-8, "time is 8 h ahead of"), (8, "time is 8 h behind")]
)
def test_a_shift_of_the_whole_file_is_named_with_its_cure(
    tmp_path: Path, hours: float, said: str
) -> None:
    message = refusal(tmp_path, [*shifted(hours, 8), *shifted(0, 2)])
    assert message.startswith("big_matrix.csv: 8 of 10 rows are rejected")
    assert f"In most rows {said} timestamp" in message
    assert "Convert the one that is written in another time zone" in message


def test_timestamps_that_a_spreadsheet_rounded_are_named(tmp_path: Path) -> None:
    rows = [row("interactions", user_id=str(i), timestamp="1.59388E+09") for i in range(9)]
    assert "as a spreadsheet shows them (1.59879E+09)" in refusal(tmp_path, rows)


def test_other_faults_are_not_laid_to_the_clock(tmp_path: Path) -> None:
    message = refusal(tmp_path, [row("interactions", user_id="x")] * 3)
    assert "In most rows" not in message
    assert "spreadsheet" not in message


def test_a_clock_that_is_behind_rejects_all_and_says_whose_it_is(tmp_path: Path) -> None:
    message = refusal(tmp_path, shifted(0, 3), now=datetime(1999, 12, 31, tzinfo=UTC))
    assert "3 of 3 rows are rejected" in message
    assert "by this machine's clock" in message


@pytest.mark.parametrize("hours", [23, 25])
def test_a_day_is_granted_to_other_clocks(tmp_path: Path, hours: int) -> None:
    (tmp_path / "scratch").mkdir()
    path = tmp_path / RAW_FILES["interactions"].file_name
    late = f"{STAMP + hours * 3600:.3f}"
    rows = [row("interactions"), row("interactions", timestamp=late, time="", date="")]
    path.write_text(text_of("interactions", *rows))
    now = datetime.fromtimestamp(STAMP, UTC)
    pieces = list(ingested(path, "interactions", tmp_path / "scratch", 0.5, now))
    assert sum(piece.counts.rejected for piece in pieces) == (hours > 24)
