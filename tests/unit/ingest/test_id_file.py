"""A person's files of ids: what is read, what is left out, and that all of it is said."""

from pathlib import Path

import polars as pl
import pytest

from schemas.errors import ContractError
from tasks.ingest.id_file import read_ids, some


def csv_of(folder: Path, text: str) -> Path:
    file = folder / "ids.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_csv_is_read_in_its_order(tmp_path):
    found = read_ids(csv_of(tmp_path, "user_id\n30\n10\n20\n"), "user_id")
    assert found.ids.tolist() == [30, 10, 20]
    assert found.ids.dtype == "int32"
    assert found.notes == ()


@pytest.mark.parametrize(
    "text", ["name,user_id\na,1\nb,2\n", "\ufeffuser_id\n1\n2", "user_id\r\n1\r\n2\r\n"]
)
def test_other_columns_marks_and_line_ends_do_not_matter(tmp_path, text):
    assert read_ids(csv_of(tmp_path, text), "user_id").ids.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt16, pl.String])
def test_a_parquet_file_is_known_by_its_bytes(tmp_path, dtype):
    file = tmp_path / "ids.of.any.name"
    pl.DataFrame({"video_id": pl.Series([3, 1], dtype=pl.Int64).cast(dtype)}).write_parquet(file)
    assert read_ids(file, "video_id").ids.tolist() == [3, 1]


def test_refused_rows_are_named_and_the_others_count(tmp_path):
    file = csv_of(tmp_path, f"user_id,x\n1,a\nabc,b\n-3,c\n,d\n1.5,e\n{2**31},f\n2,g\n7x,h\n")
    found = read_ids(file, "user_id")
    assert found.ids.tolist() == [1, 2]
    (note,) = found.notes
    assert note == (
        "ids.csv: no id in 6 rows, left out: row 2 ('abc'), row 3 ('-3'), row 4 (no value),"
        " row 5 ('1.5'), row 6 ('2147483648') and 1 more"
    )


def test_duplicates_collapse_and_are_said(tmp_path):
    found = read_ids(csv_of(tmp_path, "user_id\n5\n4\n5\n5\n"), "user_id")
    assert found.ids.tolist() == [5, 4]
    assert found.notes == ("ids.csv: 2 rows repeat an id and count once",)


REFUSED = {
    "user_id\n": "ids.csv holds no user_id",
    "user_id\nabc\n": "ids.csv holds no user_id; ids.csv: no id in 1 rows, left out: row 1 ('abc')",
    "": "cannot be read as CSV or Parquet",
    "id,name\n1,a\n": "ids.csv has no column user_id: it has id, name",
    "14\n15\n": "ids.csv has no column user_id: it has 14",
    "PAR1 is how Parquet begins": "cannot be read as CSV or Parquet",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_a_file_without_ids_is_refused_in_one_line(tmp_path, text, reason):
    with pytest.raises(ContractError) as caught:
        read_ids(csv_of(tmp_path, text), "user_id")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ContractError, match="cannot be read"):
            read_ids(path, "user_id")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    file = tmp_path / "ids.csv"
    file.write_bytes(b"user_id\n\xff\xfe\n")
    with pytest.raises(ContractError, match=r"cannot be read|no id in"):
        read_ids(file, "user_id")


def test_only_the_first_of_many_are_named():
    assert some([1, 2]) == "1, 2"
    assert some(range(7)) == "0, 1, 2, 3, 4 and 2 more"
