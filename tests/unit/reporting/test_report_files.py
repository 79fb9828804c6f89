"""A page lies there, or is written: when it would say something else, or is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts.local_backend import LocalBackend
from tasks.reporting.report_files import MADE_FROM, is_written, write_page

LINE: dict[str, Any] = {
    "as_of": "2020-09-01",
    "page": "2020-09-01-abc.html",
    "source": "demo",
    "model": "als",
    **dict.fromkeys(("mean", "low", "high"), 0.5),
    "outcome": "promoted",
    "champion": "1",
    "alerts": 0,
    MADE_FROM: "this",
}


@pytest.fixture
def files(tmp_path: Path) -> LocalBackend:
    return LocalBackend(str(tmp_path))


@pytest.fixture
def place(files: LocalBackend) -> Path:
    place = Path(files.root, "reports", LINE["page"])
    assert not is_written(files, str(place), "this")
    write_page(files, str(place), "<p>a page</p>", LINE)
    return place


def test_a_page_is_there_as_long_as_it_would_be_made_from_the_same(
    files: LocalBackend, place: Path
) -> None:
    assert is_written(files, str(place), "this")
    assert not is_written(files, str(place), "that")
    assert LINE["page"] in place.with_name("index.html").read_text()


@pytest.mark.parametrize("lost", [LINE["page"], "index.html", LINE["page"].replace("html", "json")])
def test_what_is_gone_or_damaged_is_written_again(
    files: LocalBackend, place: Path, lost: str
) -> None:
    (place.parent / lost).unlink()
    assert not is_written(files, str(place), "this")
    write_page(files, str(place), "<p>a page</p>", LINE)
    assert is_written(files, str(place), "this")
    place.write_text("<p>a PAGE</p>")
    assert not is_written(files, str(place), "this")


def test_a_page_of_a_former_version_is_written_again(files: LocalBackend, place: Path) -> None:
    line = place.with_suffix(".json")
    former = {n: v for n, v in json.loads(line.read_text()).items() if n in LINE and n != MADE_FROM}
    for text in (json.dumps(former), "[]", ""):
        line.write_text(text)
        assert not is_written(files, str(place), "this")
