"""A zip is unpacked wholly or not at all, and a hostile or damaged one harms nothing."""

import hashlib
import resource
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.sources import unzip as room
from tasks.sources.locate import DEMO_MARKER, locate
from tasks.sources.unzip import unpack

DATA = "KuaiRec 2.0/data"
LOG = f"{DATA}/big_matrix.csv"


def kuairec(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return a small data set as relative path to text; the log is too random to shrink away."""
    lines = hashlib.shake_256(b"KuaiRec").hexdigest(20_000)
    files = {f"{DATA}/{raw.file_name}": raw.file_name for raw in RAW_FILES.values()}
    return files | {LOG: lines} | (extra or {})


def zipped(path: Path, files: dict[str, str], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return path


def with_entry(path: Path, entry: zipfile.ZipInfo, content: str) -> Path:
    zipped(path, kuairec())
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(entry, content)
    return path


def files_in(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Unpack an archive that must be refused; return the message, after a look for leftovers."""

    def attempt(archive: Path) -> str:
        before = files_in(tmp_path)
        with pytest.raises(SourceError) as caught:
            unpack(archive, tmp_path / "out" / "KuaiRec")
        assert files_in(tmp_path) - before <= {"out/.KuaiRec.lock"}
        assert not (tmp_path / "out" / "KuaiRec").exists()
        assert str(archive) in str(caught.value)
        return str(caught.value)

    return attempt


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA])
def test_known_files_keep_paths_and_content(tmp_path: Path, packing: int) -> None:
    files = kuairec()
    unpack(zipped(tmp_path / "k.zip", files, packing), tmp_path / "new" / "KuaiRec")
    assert {
        str(file.relative_to(tmp_path / "new/KuaiRec")): file.read_text()
        for file in (tmp_path / "new/KuaiRec").rglob("*.csv")
    } == files
    assert locate(tmp_path / "new").missing == ()


def test_other_files_stay_behind_but_the_demo_marker_comes(tmp_path: Path) -> None:
    extra = {
        "KuaiRec 2.0/Statistics.ipynb": "{}",
        f"__MACOSX/{DATA}/big_matrix.csv": "fork",
        f"{DATA}/._big_matrix.csv": "fork",
        f"{DATA}/{DEMO_MARKER}": "{}",
    }
    unpack(zipped(tmp_path / "k.zip", kuairec(extra)), tmp_path / "KuaiRec")
    assert files_in(tmp_path / "KuaiRec") == {*kuairec(), f"{DATA}/{DEMO_MARKER}"}
    assert locate(tmp_path).is_demo


@pytest.mark.parametrize("layout", [".", "archive/raw_data", "a/b/c/d", "KuaiRec 2.0/data"])
@pytest.mark.parametrize("aside", [".git", "__MACOSX"])
def test_a_zip_is_searched_as_a_folder_is(tmp_path: Path, layout: str, aside: str) -> None:
    names = [raw.file_name for raw in RAW_FILES.values()]
    files = {str(Path(place, name)): name for name in names for place in (layout, aside)}
    unpack(zipped(tmp_path / "k.zip", files), tmp_path / "KuaiRec")
    assert locate(tmp_path / "KuaiRec").files == {
        table: tmp_path / "KuaiRec" / layout / raw.file_name for table, raw in RAW_FILES.items()
    }


def test_backslashes_of_old_windows_tools_are_folders(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): text for name, text in kuairec().items()}
    unpack(zipped(tmp_path / "k.zip", files), tmp_path / "KuaiRec")
    assert files_in(tmp_path / "KuaiRec") == set(kuairec())


@pytest.mark.parametrize(
    "name",
    [
        "../big_matrix.csv",
        "KuaiRec 2.0/../../big_matrix.csv",
        "..\\big_matrix.csv",
        "/etc/big_matrix.csv",
        "\\big_matrix.csv",
        "C:\\big_matrix.csv",
        "c:big_matrix.csv",
        "//server/share/big_matrix.csv",
        "../notes.txt",
    ],
)
def test_names_that_lead_outside(tmp_path: Path, refused: Callable[..., str], name: str) -> None:
    message = refused(zipped(tmp_path / "k.zip", kuairec({name: "evil"})))
    assert "would land outside" in message
    assert name in message


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, refused: Callable[..., str], kind: int) -> None:
    entry = zipfile.ZipInfo("data")
    entry.external_attr = (kind | 0o777) << 16
    message = refused(with_entry(tmp_path / "k.zip", entry, "/etc"))
    assert "data is a link or device" in message


def test_encrypted_entry(tmp_path: Path, refused: Callable[..., str]) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec())
    patch_directory(archive, LOG, offset=8, value=struct.pack("<H", 1))
    message = refused(archive)
    assert f"{LOG} is encrypted" in message


def test_entry_that_is_there_twice(tmp_path: Path, refused: Callable[..., str]) -> None:
    message = refused(zipped(tmp_path / "k.zip", kuairec({LOG.replace("/", "\\"): "other"})))
    assert "twice" in message


@pytest.mark.parametrize("bomb", ["ratio", "total"])
def test_bombs(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, bomb: str
) -> None:
    content = "0" * 10_000_000 if bomb == "ratio" else kuairec()[LOG]
    if bomb == "total":
        monkeypatch.setattr(room, "MAX_BYTES", 10_000)
    message = refused(zipped(tmp_path / "k.zip", kuairec({LOG: content})))
    assert "would unpack to" in message
    assert LOG in message


@pytest.mark.parametrize("declared", [100, 1_000_000])
def test_entry_that_holds_more_or_less_than_it_declares(
    tmp_path: Path, refused: Callable[..., str], declared: int
) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec())
    patch_directory(archive, LOG, offset=24, value=struct.pack("<I", declared))
    assert f"{LOG} cannot be unpacked" in refused(archive)


def test_unknown_packing(tmp_path: Path, refused: Callable[..., str]) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec())
    patch_directory(archive, LOG, offset=10, value=struct.pack("<H", 9))  # Deflate64
    assert f"{LOG} cannot be unpacked" in refused(archive)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_truncated_archive(tmp_path: Path, refused: Callable[..., str], kept: float) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec())
    whole = archive.read_bytes()
    archive.write_bytes(whole[: kept if kept > 1 else int(kept * len(whole))])
    assert "is no whole zip file" in refused(archive)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_flipped_byte(tmp_path: Path, refused: Callable[..., str], packing: int) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec(), packing)
    content = bytearray(archive.read_bytes())
    content[5_000] ^= 0xFF  # inside the log, the first and by far the largest entry
    archive.write_bytes(content)
    assert f"{LOG} cannot be unpacked" in refused(archive)


def test_any_damage_is_a_source_error_or_harmless(tmp_path: Path) -> None:
    """Wherever a byte is hit: all files come out as they were, or none and a SourceError."""
    names = [raw.file_name for raw in RAW_FILES.values() if raw.is_required]
    archive = zipped(tmp_path / "k.zip", {name: name * 3 for name in names})
    whole = archive.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        archive.write_bytes(damaged)
        folder = tmp_path / f"out{position}"
        try:
            unpack(archive, folder)
        except SourceError:
            assert not folder.exists()
        else:
            assert {file.name: file.read_text() for file in folder.rglob("*.csv")} == {
                name: name * 3 for name in names
            }


def test_archive_that_is_something_else(tmp_path: Path, refused: Callable[..., str]) -> None:
    page = tmp_path / "k.zip"
    page.write_text("<html>Please log in</html>")
    assert "is no whole zip file" in refused(page)
    assert "No such file" in refused(tmp_path / "absent.zip")


def test_archive_without_a_required_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    files = kuairec()
    del files[f"{DATA}/small_matrix.csv"]
    assert "it lacks small_matrix.csv" in refused(zipped(tmp_path / "k.zip", files))


def test_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec())
    folder = tmp_path / "KuaiRec"
    folder.mkdir()
    unpack(archive, folder)  # an empty one is as good as new
    (folder / LOG).write_text("mine")
    with pytest.raises(SourceError, match="is not empty"):
        unpack(archive, folder)
    assert (folder / LOG).read_text() == "mine"


def test_full_disk_leaves_nothing(tmp_path: Path, refused: Callable[..., str]) -> None:
    archive = zipped(tmp_path / "k.zip", kuairec())
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        assert "the disk has room" in refused(archive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_leftover_of_a_killed_run_is_cleared(tmp_path: Path) -> None:
    leftover = tmp_path / ".KuaiRec.partial" / LOG
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    unpack(zipped(tmp_path / "k.zip", kuairec()), tmp_path / "KuaiRec")
    assert files_in(tmp_path / "KuaiRec") == set(kuairec())
    assert not (tmp_path / ".KuaiRec.partial").exists()


def patch_directory(archive: Path, name: str, offset: int, value: bytes) -> None:
    """Overwrite a field of the entry's record in the zip's central directory."""
    content = bytearray(archive.read_bytes())
    record = content.rindex(name.encode()) - 46  # the fixed part before the name
    assert content[record : record + 4] == b"PK\x01\x02"
    content[record + offset : record + offset + len(value)] = value
    archive.write_bytes(content)
