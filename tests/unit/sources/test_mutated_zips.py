"""Zips as people pack and break them: found like a folder in the same layout, or refused."""

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.sources.locate import locate
from tasks.sources.unzip import unpack

NAMES = [raw.file_name for raw in RAW_FILES.values()]
REQUIRED = [raw.file_name for raw in RAW_FILES.values() if raw.is_required]
LOG = "big_matrix.csv"
DATA = "KuaiRec 2.0/data"

LAYOUTS = {
    "flat": "",
    "data": "data",
    "published": DATA,
    "older": "KuaiRec/data",
    "wrapped": f"download/{DATA}",
    "other names": "archive/raw_data",
    "deep": "a/b/c/d/e/f/g",
    "Chinese": "数据/文件",
    "spaces and brackets": "Kuai Rec [copy] (1)",
    "percent and question": "100%/what?",
    "capitals": "KUAIREC/DATA",
    "dots inside": "kuairec.v2.0/x.y",
}
ASIDE = ["__MACOSX/data", ".git/data", "KuaiRec 2.0/.cache", "__MACOSX"]
PACKINGS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def files_in(folder: str, names: list[str] = NAMES) -> dict[str, str]:
    return {f"{folder}/{name}".lstrip("/"): f"{name}\n" * 40 for name in names}


def zipped(path: Path, files: dict[str, str], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def located(folder: Path, archive: Path) -> dict[str, str]:
    """Unpack and look for the files; return where each was found, relative to the top."""
    unpack(archive, folder)
    found = locate(folder, archive.name)
    return {table: str(path.relative_to(folder)) for table, path in found.files.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_zip_and_folder_of_one_layout_are_found_alike(tmp_path: Path, layout: str) -> None:
    files = files_in(LAYOUTS[layout])
    for name, text in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    there = locate(tmp_path / "folder").files
    found = located(tmp_path / "unpacked", zipped(tmp_path / "k.zip", files))
    assert found == {t: str(path.relative_to(tmp_path / "folder")) for t, path in there.items()}
    assert set(found) == set(RAW_FILES)


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_of_the_standard_library(tmp_path: Path, packing: int) -> None:
    assert located(tmp_path / "out", zipped(tmp_path / "k.zip", files_in(DATA), packing))


@pytest.mark.parametrize("aside", ASIDE)
def test_what_is_set_aside_is_no_second_copy(tmp_path: Path, aside: str) -> None:
    files = files_in(DATA) | files_in(aside)
    found = located(tmp_path / "out", zipped(tmp_path / "k.zip", files))
    assert set(found.values()) == set(files_in(DATA))


def test_side_files_beside_the_data_are_found(tmp_path: Path) -> None:
    side = "kuairec_caption_category.csv"
    files = files_in(DATA, [n for n in NAMES if n != side]) | {side: "text"}
    assert located(tmp_path / "out", zipped(tmp_path / "k.zip", files))["captions"] == side


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


def adding(made: zipfile.ZipInfo) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(made, "x")

    return change


def bytes_of(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(bytearray(path.read_bytes()))), None)[1]


def record(offset: int, value: bytes) -> Callable[[Path], None]:
    """Overwrite a field of the log's record in the central directory."""

    def change(content: bytearray) -> bytearray:
        at = content.rindex(f"{DATA}/{LOG}".encode()) - 46 + offset
        content[at : at + len(value)] = value
        return content

    return bytes_of(change)


def without(name: str) -> Callable[[Path], None]:
    return lambda path: (zipped(path, files_in(DATA, [n for n in NAMES if n != name])), None)[1]


def flipped(content: bytearray) -> bytearray:
    content[80] ^= 0xFF  # in the log's own bytes
    return content


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    **{f"without {name}": (without(name), f"lacks {name}") for name in REQUIRED},
    "two copies": (
        lambda path: (zipped(path, files_in("v1") | files_in("v2")), None)[1],
        "more than one KuaiRec data folder: 'k.zip/v1', 'k.zip/v2'",
    ),
    "matrices in different folders": (
        lambda path: (zipped(path, files_in("a", NAMES[:1]) | files_in("b", NAMES[1:])), None)[1],
        "more than one",
    ),
    "path upwards": (adding(entry(f"../{LOG}")), "outside the folder"),
    "absolute path": (adding(entry("/etc/x.csv")), "outside the folder"),
    "a drive": (adding(entry("C:\\x.csv")), "outside the folder"),
    "a link": (adding(entry("data", stat.S_IFLNK | 0o777)), "is a link or device"),
    "a pipe": (adding(entry("pipe", stat.S_IFIFO | 0o666)), "is a link or device"),
    "an entry twice": (adding(entry(f"{DATA}\\{LOG}".replace("/", "\\"))), "twice"),
    "encrypted": (record(8, struct.pack("<H", 1)), "is encrypted"),
    "unknown packing": (record(10, struct.pack("<H", 9)), "cannot be unpacked"),
    "declared too small": (record(24, struct.pack("<I", 10)), "cannot be unpacked"),
    "a bomb by its word": (record(24, struct.pack("<I", 2**31)), "would unpack to"),
    "a flipped byte": (bytes_of(flipped), "cannot be unpacked"),
    "cut in half": (bytes_of(lambda b: b[: len(b) // 2]), "no whole zip file"),
    "cut at the end": (bytes_of(lambda b: b[:-9]), "no whole zip file"),
    "empty": (bytes_of(lambda b: b""), "no whole zip file"),
    "zeros": (bytes_of(lambda b: bytes(len(b))), "no whole zip file"),
    "a web page": (bytes_of(lambda b: b"<html>Please log in</html>"), "no whole zip file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_zip_is_one_line_and_leaves_nothing_outside(tmp_path: Path, case: str) -> None:
    change, said = BROKEN[case]
    archive = zipped(tmp_path / "k.zip", files_in(DATA))
    change(archive)
    with pytest.raises(SourceError) as caught:
        located(tmp_path / "in" / "out", archive)
    message = str(caught.value)
    assert said in message
    assert "k.zip" in message
    assert message.isprintable()
    assert len(message) < 800
    assert {path.name for path in tmp_path.iterdir()} <= {"k.zip", "in"}
