"""A raw file becomes typed rows, rejects and counts, whatever state it is in."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from schemas.tables import CONTRACTS
from tasks.ingest.csv_text import has_any
from tasks.ingest.raw_tables import RAW_TABLES
from tasks.ingest.reader import Counts
from tests.raw_files import GOOD, header, read, read_rows, row, text_of

EVENT_KEY = ", ".join(RAW_TABLES["interactions"].key)


def refusal(folder: Path, content: str | bytes, table: str = "interactions") -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, content, table)
    assert RAW_FILES[table].file_name in str(caught.value)
    return str(caught.value)


def event(user: int = 1, **fields: str) -> str:
    return row("interactions", **{"user_id": str(user)} | fields)


# --- whole files -----------------------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(GOOD))
def test_good_row_of_every_table_keeps_its_contract(tmp_path: Path, table: str) -> None:
    out = read_rows(tmp_path, table, [row(table)])
    assert out.counts == Counts(read=1, kept=1)
    kept = out.kept.with_columns(stage=pl.lit(1, pl.Int8)) if table == "small_matrix" else out.kept
    CONTRACTS[table].validate(kept)


def test_event_is_typed_with_its_instant_in_utc(tmp_path: Path) -> None:
    out = read_rows(tmp_path, "interactions", [event()])
    moment = datetime(2020, 7, 4, 16, 8, 23, 438_000, tzinfo=UTC)
    assert out.kept.rows() == [(1, 2, moment, 500, 1000, 0.5)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: b"\xef\xbb\xbf" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda text: text.rstrip(b"\n"), id="no final newline"),
        pytest.param(
            lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").rstrip(), id="all of these"
        ),
    ],
)
@pytest.mark.parametrize("table", ["interactions", "video_tags"])
def test_how_lines_are_written_changes_nothing(tmp_path: Path, table: str, change) -> None:
    plain = text_of(table, row(table), row(table, video_id="7"))
    expected = read(tmp_path / "plain", plain, table)
    out = read(tmp_path / "changed", change(plain.encode()), table)
    assert out.counts == expected.counts == Counts(read=2, kept=2)
    assert out.kept.equals(expected.kept)


def test_header_in_another_order_and_in_quotes(tmp_path: Path) -> None:
    out = read(tmp_path, '"feat","video_id"\n"[27, 9]",1\n[8],2\n', "video_tags")
    assert out.kept.rows() == [(1, [9, 27]), (2, [8])]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("video_id", "missing columns ['feat']"),
        ("video_id,feat,mood", "unknown columns ['mood']"),
        ("video_id,feat,", "unknown columns ['']"),
        ("video_id,feat,feat", "doubled columns ['feat']"),
        ("1,[8]", "missing columns ['video_id', 'feat']"),
    ],
)
def test_wrong_header_is_refused_by_column(tmp_path: Path, bad: str, complaint: str) -> None:
    message = refusal(tmp_path, f"{bad}\n1,[8]\n", "video_tags")
    assert complaint in message
    assert "expected ['video_id', 'feat']" in message


@pytest.mark.parametrize("content", ["", "\n", "\r\n", "\ufeff"])
def test_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    assert "is empty" in refusal(tmp_path, content)


@pytest.mark.parametrize("table", sorted(GOOD))
@pytest.mark.parametrize("end", ["", "\n"])
def test_header_alone_has_no_rows(tmp_path: Path, table: str, end: str) -> None:
    assert read(tmp_path, header(table) + end, table).counts == Counts()


def test_invalid_utf8_in_the_header(tmp_path: Path) -> None:
    assert "header: not UTF-8" in refusal(
        tmp_path, b"\xff" + text_of("video_tags").encode(), "video_tags"
    )


@pytest.mark.parametrize("table", ["interactions", "captions"])
def test_invalid_utf8_names_the_row(tmp_path: Path, table: str) -> None:
    rows = [row(table, video_id=str(i)).encode() for i in range(2000)]
    rows[1499] = row(table, video_id="\udcff").encode(errors="surrogateescape")
    content = b"\n".join([header(table).encode(), *rows])
    assert "data row 1500: not UTF-8" in refusal(tmp_path, content, table)


# --- quotes ----------------------------------------------------------------------------------


def test_quoted_text_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    rows = [
        row("captions", video_id="1", caption='"a, ""b""\nc"'),
        row("captions", video_id="2", caption="d\re"),
        row("captions", video_id="x"),
    ]
    out = read_rows(tmp_path, "captions", rows)
    assert out.kept["caption"].to_list() == ['a, "b"\nc', "d\re"]
    assert [blame[0] for blame in out.blamed] == [3]


@pytest.mark.parametrize("table", ["video_tags", "captions"])
def test_file_cut_inside_a_quote_names_the_row(tmp_path: Path, table: str) -> None:
    whole = text_of(table, *(row(table, video_id=str(i)) for i in range(3)))
    cut = whole[: whole.rindex('"')]
    assert "data row 3: broken quote" in refusal(tmp_path, cut, table)


def test_quote_that_is_never_closed_names_the_row_that_opens_it(tmp_path: Path) -> None:
    content = text_of("video_tags", "1,[8]", '2,"[9]', "3,[8]", "4,[8]")
    assert "data row 2: broken quote" in refusal(tmp_path, content, "video_tags")


def test_quote_that_swallows_the_next_row_is_noticed(tmp_path: Path) -> None:
    content = text_of("video_tags", "1,[8]", '2,"[9]', '3,"[8]"', "4,[8]")
    assert "data row 2: broken quote" in refusal(tmp_path, content, "video_tags")


def test_in_the_log_a_quote_is_a_bad_character_and_a_line_is_a_row(tmp_path: Path) -> None:
    rows = [event(1), event(2, play_duration='"500'), event(3, video_id='"2'), event(4)]
    out = read_rows(tmp_path, "interactions", rows)
    assert out.kept["user_id"].to_list() == [1, 4]
    assert [blame[:2] for blame in out.blamed] == [(2, "play_duration"), (3, "video_id")]


# --- rows of every length --------------------------------------------------------------------


@pytest.mark.parametrize("surplus", ["9", "9,10", "9,,,,"])
@pytest.mark.parametrize("place", [0, 1])
def test_too_many_fields_reject_the_row(tmp_path: Path, surplus: str, place: int) -> None:
    rows = [event(1), event(2)]
    rows[place] += f",{surplus}"
    out = read_rows(tmp_path, "interactions", rows)
    assert out.blamed == [(place + 1, "(row)", "as many fields as the header", "9")]
    assert out.counts == Counts(read=2, kept=1, rejected=1)


@pytest.mark.parametrize("cut", ["3,2", "3,2,500,1000,,20200705,1593878", ""])
def test_log_cut_in_a_row_or_number_rejects_that_row(tmp_path: Path, cut: str) -> None:
    out = read_rows(tmp_path, "interactions", [event(1), cut, event(2)])
    assert out.counts == Counts(read=3, kept=2, rejected=1)
    assert out.blamed[0][0] == 2


@pytest.mark.parametrize(
    "table", ["users", "video_daily_stats", "captions", "friends", "video_tags"]
)
@pytest.mark.parametrize("surplus", [-1, 1, 2])
def test_rows_of_another_length_are_rejected_though_nulls_are_allowed(
    tmp_path: Path, table: str, surplus: int
) -> None:
    good = row(table)
    uneven = good.rsplit(",", 1)[0] if surplus < 0 else good + "," * surplus
    if table in {"friends", "video_tags"} and surplus < 0:
        uneven = "1"
    out = read_rows(tmp_path, table, [uneven, good])
    assert out.blamed == [(1, "(row)", "as many fields as the header", None)]
    assert out.counts.kept == 1


def test_row_numbers_count_data_rows_blank_ones_too(tmp_path: Path) -> None:
    rows = [event(1), "", event(2), event(3, watch_ratio="x"), *[event(4)] * 2, event(5, date="")]
    out = read_rows(tmp_path, "interactions", [*rows, event(6, user_id="x")])
    assert [blame[0] for blame in out.blamed] == [2, 4, 8]


# --- dialects --------------------------------------------------------------------------------


def test_log_whose_fields_are_all_in_quotes_is_read_as_without(tmp_path: Path) -> None:
    rows = [event(1), event(2, watch_ratio="x"), event(3, time="")]
    plain = read_rows(tmp_path / "plain", "interactions", rows)
    head, *quoted = [
        ",".join(f'"{f}"' for f in line.split(",")) for line in [header("interactions"), *rows]
    ]
    for name, first in {"all": head, "all but the header": header("interactions")}.items():
        out = read(tmp_path / name, "\n".join([first, *quoted]) + "\n")
        assert out.kept.equals(plain.kept)
        assert out.blamed == plain.blamed
        assert out.counts == Counts(read=3, kept=2, rejected=1)


@pytest.mark.parametrize("word", ['""', "None", "NaN", "nan", "NA", "N/A", "null", "NULL", "<NA>"])
@pytest.mark.parametrize("table", ["users", "video_daily_stats", "captions", "small_matrix"])
def test_words_for_nothing_are_null_where_nothing_may_be(
    tmp_path: Path, table: str, word: str
) -> None:
    needed = {"user_id", "video_id", "play_duration", "video_duration", "watch_ratio"}
    needed |= {"date"} if table == "video_daily_stats" else set()
    absent = [c for c in RAW_FILES[table].columns if c not in needed]
    empty = read_rows(tmp_path / "empty", table, [row(table, **dict.fromkeys(absent, ""))])
    out = read_rows(tmp_path / "words", table, [row(table, **dict.fromkeys(absent, word))])
    assert out.counts == Counts(read=1, kept=1)
    assert out.kept.equals(empty.kept)


@pytest.mark.parametrize("end", ["\n", "\n\n\n", "\r\n\r\n", "\n\r\n"])
@pytest.mark.parametrize("table", sorted(GOOD))
def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path, table: str, end: str) -> None:
    out = read(tmp_path, text_of(table, row(table), row(table)) + end, table)
    assert (out.counts.read, out.counts.rejected) == (2, 0)


ODD_FILES = {
    "UTF-16": (lambda text: text.encode("utf-16"), "is in UTF-16, not UTF-8. Save it as UTF-8"),
    "UTF-16 unmarked": (lambda text: text.encode("utf-16-le"), "is in UTF-16"),
    "UTF-32": (lambda text: text.encode("utf-32"), "is in UTF-32"),
    "GBK": (lambda text: text.encode("gbk"), "is in GBK, not UTF-8. Save it as UTF-8: iconv -f GB"),
    "carriage returns": (lambda text: text.replace("\n", "\r").encode(), "carriage return alone"),
    "semicolons": (lambda text: text.replace(",", ";").encode(), "parted by ';'"),
    "tabs": (lambda text: text.replace(",", "\t").encode(), "parted by '\\t'"),
    "commas at the end": (lambda text: text.replace("\n", ",\n").encode(), "end in a comma"),
    "spaces in the header": (
        lambda text: text.replace(",caption", ", caption", 1).encode(),
        "without spaces",
    ),
    "capitals": (lambda text: text.replace("video_id", "Video_ID", 1).encode(), "in lower case"),
    "blank first": (lambda text: b"\n" + text.encode(), "line 1 is blank"),
    "zeros": (lambda text: bytes(200_000), "begins with zeros"),
    "no line at all": (lambda text: b"x" * 200_000, "missing columns"),
    "endless header": (lambda text: (text[:-1] + ",x" * 90_000).encode(), "header"),
}


@pytest.mark.parametrize("case", ODD_FILES)
def test_other_ways_to_write_are_refused_with_the_cure_on_one_screen(
    tmp_path: Path, case: str
) -> None:
    write, said = ODD_FILES[case]
    content = write(text_of("captions", row("captions")))
    if case == "endless header":
        content = header("captions").encode() + b",x" * 90_000
    message = refusal(tmp_path, content, "captions")
    assert said in message
    assert len(message) < 800
    assert message.isprintable()


def test_damage_in_utf8_is_not_taken_for_gbk(tmp_path: Path) -> None:
    rows = [row("captions", video_id=str(i)) for i in range(3)]
    content = bytearray(text_of("captions", *rows).encode())
    content[-12] ^= 0xFF
    assert "data row 3: not UTF-8" in refusal(tmp_path, bytes(content), "captions")


# --- rejects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column", "rule", "value"),
    [
        ("interactions", "play_duration", "whole number from 0 to 2147483647", "abc"),
        ("interactions", "play_duration", "whole number from 0 to 2147483647", "-500"),
        ("interactions", "video_duration", "whole number from 1 to 2147483647", "0"),
        ("interactions", "user_id", "whole number from 0 to 2147483647", "2147483648"),
        ("interactions", "video_id", "whole number from 0 to 2147483647", "9223372036854775808"),
        ("interactions", "timestamp", "unix seconds from 2000 to 2100", "2020-07-05"),
        ("interactions", "watch_ratio", "finite number, not negative", "-0.5"),
        ("interactions", "watch_ratio", "equals play_duration / video_duration", "0.75"),
        ("small_matrix", "watch_ratio", "equals play_duration / video_duration", "5"),
        ("users", "is_live_streamer", "0 or 1", "2"),
        ("users", "onehot_feat17", "whole number from 0 to 2147483647", "x"),
        ("video_tags", "feat", "JSON list of whole numbers", "[8"),
        ("video_tags", "feat", "JSON list of whole numbers", "[[8]]"),
        ("video_tags", "feat", "ids up to 32767", "[32768]"),
        ("friends", "friend_list", "JSON list of whole numbers", "[1.5]"),
        ("video_daily_stats", "date", "a day as %Y%m%d", "20200230"),
        ("video_daily_stats", "play_cnt", "whole number from 0 to 1000000000000", "-3"),
        (
            "video_daily_stats",
            "play_cnt",
            "whole number from 0 to 1000000000000",
            "9223372036854775807",
        ),
        (
            "video_daily_stats",
            "like_user_num",
            "whole number from 0 to 1000000000000",
            "1000000000001",
        ),
        (
            "video_daily_stats",
            "play_duration",
            "whole number from 0 to 1000000000000000",
            "1" + "0" * 15 + "1",
        ),
        ("video_daily_stats", "date", "a day from 2000 to 2100", "19991231"),
        ("video_daily_stats", "date", "a day from 2000 to 2100", "21000102"),
        (
            "video_daily_stats",
            "date",
            "no later than tomorrow, by this machine's clock",
            "20260102",
        ),
        (
            "video_daily_stats",
            "upload_dt",
            "no later than tomorrow, by this machine's clock",
            "2038-01-19",
        ),
        (
            "small_matrix",
            "timestamp",
            "no later than tomorrow, by this machine's clock",
            "2147483647",
        ),
        ("interactions", "timestamp", "no later than tomorrow, by this machine's clock", "4e9"),
        ("video_daily_stats", "video_duration", "whole number from 1 to 2147483647", "0.0"),
        ("captions", "first_level_category_id", "whole number from 0 to 2147483647", "颜值"),
    ],
)
def test_reject_names_row_column_rule_and_text(
    tmp_path: Path, table: str, column: str, rule: str, value: str
) -> None:
    out = read_rows(tmp_path, table, [row(table), row(table, **{column: value})])
    assert out.blamed == [(2, column, rule, value)]
    assert out.rejects["file"].to_list() == [RAW_FILES[table].file_name]
    CONTRACTS["rejects"].validate(out.rejects)


def test_rejects_of_all_kinds_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = ["1,[8]", "1,[9]", "2,[x]", "3,[8]", "3,[9]", "4,8"]
    out = read_rows(tmp_path, "video_tags", rows)
    assert [blame[0] for blame in out.blamed] == [2, 3, 5, 6]


@pytest.mark.parametrize("column", ["user_id", "timestamp", "play_duration", "watch_ratio"])
def test_empty_required_field_is_rejected(tmp_path: Path, column: str) -> None:
    out = read_rows(tmp_path, "interactions", [event(1, **{column: ""})])
    assert out.blamed == [(1, column, "present", None)]


def test_row_with_many_faults_is_rejected_once_for_the_first(tmp_path: Path) -> None:
    out = read_rows(tmp_path, "interactions", ["x,-1,y,0,,,z,-5"])
    assert out.counts == Counts(read=1, rejected=1)
    assert out.blamed[0][1] == "user_id"


def test_nullable_whole_numbers_as_pandas_writes_them(tmp_path: Path) -> None:
    out = read_rows(
        tmp_path,
        "video_daily_stats",
        [
            row(
                "video_daily_stats",
                video_duration="7434.0",
                author_id="",
                collect_cnt="3.0",
                play_cnt="5",
            )
        ],
    )
    first = out.kept.row(0, named=True)
    picked = [first[c] for c in ("video_duration_ms", "author_id", "collect_cnt", "play_cnt")]
    assert picked == [7434, None, 3, 5]


def test_captions_say_none_in_two_ways(tmp_path: Path) -> None:
    levels = {"second_level_category_id": "-124", "second_level_category_name": "UNKNOWN"}
    out = read_rows(
        tmp_path,
        "captions",
        [row("captions", manual_cover_text="UNKNOWN", first_level_category_id="8", **levels)],
    )
    first = out.kept.row(0, named=True)
    assert [first[c] for c in ("category_1_id", "category_2_id", "category_2_name")] == [
        *(8, None, None)
    ]
    assert first["manual_cover_text"] is None
    assert first["caption"] == "一, 二"


def test_list_text_is_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    code = f"\"[__import__('pathlib').Path('{trap}').touch()]\""
    out = read_rows(
        tmp_path, "video_tags", [row("video_tags", feat=code), row("video_tags", video_id="2")]
    )
    assert out.counts == Counts(read=2, kept=1, rejected=1)
    assert not trap.exists()


def test_has_any_tells_whether_a_column_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "small_matrix.csv"
    path.write_text(text_of("small_matrix", row("small_matrix"), row("small_matrix", user_id="2")))
    assert not has_any(path, RAW_FILES["small_matrix"], "timestamp")
    path.write_text(
        text_of("small_matrix", row("small_matrix"), row("small_matrix", timestamp="1593878903"))
    )
    assert has_any(path, RAW_FILES["small_matrix"], "timestamp")


# --- duplicates ------------------------------------------------------------------------------


def test_exact_duplicates_and_one_event_in_two_partitions_are_counted_apart(tmp_path: Path) -> None:
    rows = [event(), event(), event(date="20200706"), event(date="20200706"), event(2)]
    out = read_rows(tmp_path, "interactions", rows)
    assert out.counts == Counts(read=5, kept=2, duplicates_exact=2, duplicates_across_partitions=1)
    assert out.kept["user_id"].to_list() == [1, 2]


def test_views_at_another_time_are_honest_rewatches(tmp_path: Path) -> None:
    rows = [event(timestamp=f"{1593878903 + i}.438", time="") for i in range(3)]
    assert read_rows(tmp_path, "interactions", rows).counts == Counts(read=3, kept=3)


def test_second_row_for_a_key_is_rejected_and_its_copies_too(tmp_path: Path) -> None:
    rows = [event(watch_ratio="0.5001"), event(), event(watch_ratio="0.5001"), event(), event()]
    out = read_rows(tmp_path, "interactions", rows)
    assert out.counts == Counts(read=5, kept=1, duplicates_exact=2, rejected=2)
    assert out.kept["watch_ratio"].to_list() == [0.5]
    value = "1, 2020-07-04 16:08:23.438+00:00, 2, 500, 1000"
    assert out.blamed == [(n, EVENT_KEY, "one row for each", value) for n in (1, 3)]


def test_copy_in_a_later_partition_is_a_duplicate_past_a_conflict(tmp_path: Path) -> None:
    rows = [event(), event(watch_ratio="0.5001"), event(date="20200706")]
    assert read_rows(tmp_path, "interactions", rows).counts == Counts(
        read=3, kept=1, duplicates_across_partitions=1, rejected=1
    )


@pytest.mark.parametrize(
    "table", ["users", "video_tags", "friends", "captions", "video_daily_stats", "small_matrix"]
)
def test_one_row_for_each_key_of_every_table(tmp_path: Path, table: str) -> None:
    other = {
        "users": {"register_days": "5"},
        "video_tags": {"feat": "[28]"},
        "friends": {"friend_list": "[9999]"},
        "captions": {"caption": "三"},
        "video_daily_stats": {"play_cnt": "5"},
        "small_matrix": {"play_duration": "600", "watch_ratio": "0.6"},
    }[table]
    same, conflict = row(table), row(table, **other)
    out = read_rows(tmp_path, table, [same, conflict, same])
    assert out.counts.read == 3
    assert out.counts.kept == 1
    assert out.counts.duplicates_across_partitions == 0
    assert out.counts.duplicates_exact + out.counts.rejected == 2
    assert {blame[2] for blame in out.blamed} == {"one row for each"}


def test_lost_row_does_not_balance() -> None:
    with pytest.raises(ContractError, match=r"big_matrix\.csv: 3 rows read, 2 accounted for"):
        Counts(read=3, kept=1, rejected=1).balance("big_matrix.csv")


# --- any dirt --------------------------------------------------------------------------------

MOMENTS = ("1593878903.438", "1593878903.4381", "1598929392")
dirty_events = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["0", "1", "600", "40000", "2147483647", "2147483648", "x", ""]),
        "video_id": st.sampled_from(["1", "2", "-1", "1.0"]),
        "play_duration": st.sampled_from(["500", "500", "0", "-5", "9" * 30]),
        "video_duration": st.sampled_from(["1000", "1000", "0"]),
        "time": st.sampled_from(["", '"', "a"]),
        "date": st.sampled_from(["20200705", "20200706", ""]),
        "timestamp": st.sampled_from([*MOMENTS, "", "nan"]),
        "watch_ratio": st.sampled_from(["0.5", "0.5", "0.5001", "0", "inf", "0.9"]),
    }
).map(lambda fields: ",".join(fields.values()))
dirty_rows = dirty_events | st.sampled_from([event(), event(), "", ",,,", "1,2", event() + ",7"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(dirty_rows, min_size=1, max_size=30), st.randoms(use_true_random=False))
@example([event()], None)
def test_any_dirt_is_settled_row_by_row(tmp_path_factory, rows, random) -> None:
    folder = tmp_path_factory.mktemp("dirt")
    last = event(9)  # blank lines at the end are no rows
    out = read_rows(folder / "as is", "interactions", [*rows, last])
    counts = out.counts
    counts.balance("big_matrix.csv")
    assert counts.read == len(rows) + 1
    assert counts.kept == out.kept.height
    assert counts.rejected == out.rejects.height
    if counts.kept:
        CONTRACTS["interactions"].validate(out.kept)
    CONTRACTS["rejects"].validate(out.rejects)
    assert set(out.rejects["row_number"]) <= set(range(1, len(rows) + 1))

    shuffled = list(rows)
    if random is not None:
        random.shuffle(shuffled)
    with patch("tasks.ingest.reader.SMALL_BYTES", 0):  # a large one, cut on disk
        again = read_rows(folder / "shuffled", "interactions", [*shuffled, last])
    assert again.kept.equals(out.kept)
    assert again.counts == counts
    assert faults(again.blamed) == faults(out.blamed)

    whole = replace(RAW_TABLES["interactions"], bucket=None)
    unbucketed = read(folder / "whole", text_of("interactions", *rows, last), how=whole)
    assert unbucketed.counts == counts
    assert unbucketed.kept.equals(out.kept.sort(RAW_TABLES["interactions"].key))
    assert sorted(unbucketed.blamed, key=json.dumps) == sorted(out.blamed, key=json.dumps)


def faults(blamed: list[tuple]) -> list[str]:
    """What was wrong, whatever the row number."""
    return sorted(json.dumps(blame[1:]) for blame in blamed)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_settled_or_refused(tmp_path_factory, content) -> None:
    """No bytes after a good header bring anything but rows, rejects or a ContractError."""
    for table in ("interactions", "captions", "video_tags"):
        folder = tmp_path_factory.mktemp("bytes")
        try:
            out = read(folder, text_of(table).encode() + content, table)
        except ContractError:
            continue
        out.counts.balance(table)
