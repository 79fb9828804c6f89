"""A root of an earlier version is recognised and said once; one of a later version is refused."""

import logging

import pytest

from schemas.errors import StoreError
from tasks.artifacts.backend import backend_of
from tasks.artifacts.layout import LAYOUT, MARK
from tasks.artifacts.store import Store


def said(caplog: pytest.LogCaptureFixture, root: str) -> list[str]:
    """What opening a night's root says."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        Store(root).settle_layout()
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path, monkeypatch) -> str:
    """An empty root, of a folder or of an object store."""
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def put(root: str, name: str, text: bytes) -> None:
    """Write a file under a root."""
    backend_of(root).write(f"{backend_of(root).root}/{name}", text)


def test_a_new_root_is_marked_without_a_word(caplog, root):
    assert said(caplog, root) == []
    files = backend_of(root)
    assert files.read(f"{files.root}/{MARK}") == f"{LAYOUT}\n".encode()
    assert said(caplog, root) == []


def test_a_root_of_before_the_mark_is_said_once(caplog, root):
    put(root, "ingest/block/0123/manifest.json", b"{}")
    (line,) = said(caplog, root)
    assert "earlier version" in line
    assert "made anew" in line
    assert said(caplog, root) == []


def test_a_root_of_an_earlier_mark_is_said_once(caplog, root):
    put(root, MARK, b"1\n")
    assert len(said(caplog, root)) == 1
    assert said(caplog, root) == []


def test_a_root_of_a_later_version_is_refused(root):
    put(root, MARK, f"{LAYOUT + 1}\n".encode())
    with pytest.raises(StoreError, match="later version of Grail"):
        Store(root).settle_layout()


def test_a_damaged_mark_is_named(root):
    put(root, MARK, b"two")
    with pytest.raises(StoreError, match=f"{MARK} is damaged"):
        Store(root).settle_layout()
