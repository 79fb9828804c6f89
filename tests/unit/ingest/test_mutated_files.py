"""Files broken in every way people's are: equal tables, counted rejects, or one clear line."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from tasks.ingest.csv_text import IS_UNEVEN, NULLS, scan_text
from tests.mutations import MUTATIONS, PAGE, Result, outcomes, page


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], tuple[str, Result]]:
    return outcomes()


def test_every_mutant_comes_to_what_it_must(found: dict[tuple[str, str], tuple[str, Result]]):
    assert len(found) >= 300
    assert {table for _, table in found} == set(RAW_FILES)
    expected = {(m.kind, table): m.outcome_for(table) for m in MUTATIONS for table in m.tables}
    assert {at: said for at, (said, _) in found.items()} == expected


def test_every_refusal_is_one_line_that_names_the_file_and_fits_a_screen(
    found: dict[tuple[str, str], tuple[str, Result]],
):
    for (kind, table), (_, result) in found.items():
        if result.error:
            assert RAW_FILES[table].file_name in result.error, kind
            assert result.error.isprintable(), kind
            assert len(result.error) < 1_200, (kind, result.error)
            assert "surplus" not in result.error


def test_the_page_of_outcomes_is_true(found: dict[tuple[str, str], tuple[str, Result]]):
    now = page({at: said for at, (said, _) in found.items()})
    assert PAGE.read_text() == now, "write it anew: python -m tests.mutations"


# --- against the standard library ---------------------------------------------------------------

RAW = RAW_FILES["friends"]
fields = st.text(st.sampled_from('ab,"\n []晚'), max_size=5) | st.sampled_from(["", "NaN", '"'])
tables = st.lists(st.lists(fields, min_size=1, max_size=4), max_size=6)


def ours(folder: Path, content: str) -> list[tuple[bool, tuple[str | None, ...]]]:
    """Read rows of two columns: whether each is uneven, and what stands in it."""
    path = folder / RAW.file_name
    path.write_bytes(content.encode())
    text = scan_text(path, RAW).collect()
    names = [c for c in text.columns if c in RAW.columns]
    return list(zip(text[IS_UNEVEN], text.select(names).rows(), strict=True))


def theirs(content: str) -> list[tuple[bool, tuple[str | None, ...]]]:
    """Read the same with ``csv``; blank lines at the end are no rows."""
    rows = list(csv.reader(io.StringIO(content, newline=""), strict=True))[1:]
    while rows and not rows[-1]:
        rows.pop()
    return [
        (len(row) != 2, tuple(None if f in NULLS else f for f in (*row, "", "")[:2]))
        for row in rows
    ]


@settings(max_examples=300)
@given(tables, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n"]))
def test_whatever_csv_writes_is_read_as_csv_reads_it(tmp_path_factory, rows, quoting, end) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=quoting, lineterminator=end).writerows([RAW.columns, *rows])
    content = out.getvalue()
    assert ours(tmp_path_factory.mktemp("csv"), content) == theirs(content)


@settings(max_examples=300)
@given(st.text(st.sampled_from('a1,"\n []晚'), max_size=40))
@example('1,2\n\n\n3,"4"\n\n')
@example('1,x"y\n2,3\n')
def test_any_text_is_read_as_csv_reads_it_or_refused(tmp_path_factory, text) -> None:
    content = ",".join(RAW.columns) + "\n" + text
    try:
        read = ours(tmp_path_factory.mktemp("any"), content)
    except (ContractError, pl.exceptions.ComputeError):  # which ``read_raw`` turns into one
        return
    assert read == theirs(content)
