"""cuSOLVER's package: found where it is installed, missed nowhere."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.models.towers.cuda import open_cusolver


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of the package's name and place, and nothing in it."""
    path = tmp_path / "nvidia" / "cusolver" / "lib" / "libcusolver.so.11"
    path.parent.mkdir(parents=True)
    path.touch()
    (path.parent / "libcusolverMg.so.11").touch()
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("nvidia", None)


def test_the_installed_library_is_opened(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", opened.append)
    open_cusolver()
    assert opened == [str(library)]


@pytest.mark.usefixtures("library")
def test_a_library_that_cannot_be_opened_is_left_alone() -> None:
    open_cusolver()


@pytest.mark.parametrize("others", [False, True], ids=["nothing", "another package"])
def test_without_the_package_nothing_is_opened(
    others: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if others:
        (tmp_path / "nvidia" / "cublas").mkdir(parents=True)
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(ctypes, "CDLL", lambda path: pytest.fail(path))
    open_cusolver()
    sys.modules.pop("nvidia", None)
