"""Files that have not changed are not read again; whatever changed them, they are read."""

import hashlib
import os
from pathlib import Path

import pytest

import tasks.artifacts.known_files
from tasks.artifacts.known_files import Identity, KnownFiles

ANOTHER = "0" * 64
"""What no file here has for a checksum: who remembers it has not looked."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One that was written before the clock moved on."""
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    file.write_bytes(b"what is in it")
    return settled(file)


@pytest.fixture
def known(tmp_path: Path) -> KnownFiles:
    return KnownFiles(tmp_path / "memory")


def settled(file: Path) -> Path:
    """Wait until the file system's clock shows another time than that of the file."""
    probe = file.with_name(f"{file.name}.probe")
    probe.touch()
    while probe.stat().st_mtime_ns <= max(Identity.of(file)[-2:]):
        probe.touch()
    return file


def content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_has_not_changed_is_read_once_by_all_processes(
    file: Path, known: KnownFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known.sha256(file) == content(file)
    monkeypatch.delattr(tasks.artifacts.known_files, "sha256_of")  # nothing is read from here on
    later = KnownFiles(tmp_path / "memory")
    assert known.sha256(file) == later.sha256(file) == content(file)
    file.parent.rename(tmp_path / "moved")
    assert later.sha256(tmp_path / "moved" / file.name) == content(tmp_path / "moved" / file.name)


def test_whoever_changes_a_file_is_noticed(file: Path, known: KnownFiles) -> None:
    known.note_own(file, ANOTHER)
    assert known.sha256(file) == ANOTHER
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(b"what is in IT")
    os.utime(file, ns=times)  # as somebody does who hides it
    assert known.sha256(file) == content(file)
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    copy.replace(file)
    assert known.sha256(file) == content(file)


def test_one_that_changes_within_a_tick_of_the_clock_is_never_taken_for_known(
    tmp_path: Path, known: KnownFiles
) -> None:
    file = tmp_path / "file"
    for turn in range(300):
        file.write_bytes(bytes([turn % 2]))
        assert known.sha256(file) == content(file)
        assert known.sha256(file) == content(file)


def test_one_that_is_written_while_it_is_read_is_not_remembered(
    file: Path, known: KnownFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(stream: object) -> str:
        file.write_bytes(b"another text.")
        return ANOTHER

    with monkeypatch.context() as patch:
        patch.setattr(tasks.artifacts.known_files, "sha256_of", meanwhile)
        assert known.sha256(file) == ANOTHER
    assert known.sha256(settled(file)) == content(file)


def test_who_reads_all_the_same_corrects_what_is_remembered(
    file: Path, known: KnownFiles, tmp_path: Path
) -> None:
    """Bits that a disk turned: no time of the file says so."""
    known.note_own(file, ANOTHER)
    assert known.read(file) == content(file)
    assert known.sha256(file) == KnownFiles(tmp_path / "memory").sha256(file) == content(file)


def test_what_is_damaged_of_the_memory_says_nothing(
    file: Path, known: KnownFiles, tmp_path: Path
) -> None:
    known.note_own(file, ANOTHER)
    (line,) = (tmp_path / "memory").read_bytes().splitlines(keepends=True)
    for damaged in (line[:-20], line.replace(b"000", b"001", 1), b"\xff\n{}\n\n[" + line):
        (tmp_path / "memory").write_bytes(damaged)
        assert KnownFiles(tmp_path / "memory").sha256(file) == content(file)


def test_the_memory_does_not_grow_for_ever(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.artifacts.known_files, "MOST_BYTES", 1000)
    for turn in range(100):
        file.write_bytes(f"{turn}".encode())
        KnownFiles(tmp_path / "memory").read(settled(file))
    assert (tmp_path / "memory").stat().st_size < 1500
    assert KnownFiles(tmp_path / "memory")._known[Identity.of(file)] == content(file)


@pytest.mark.parametrize("place", ["folder", "nowhere/memory"])
def test_without_a_memory_all_is_read(file: Path, tmp_path: Path, place: str) -> None:
    known = KnownFiles(tmp_path / place)
    assert known.sha256(file) == content(file)
    file.write_bytes(b"later")
    assert known.sha256(file) == content(file)
