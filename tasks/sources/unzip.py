"""Unpacks KuaiRec's zip file: wholly or not at all, and nothing but the files we know.

Not here: getting the zip (``download``), and finding the files in what comes out (``files``).
"""

import lzma
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PureWindowsPath

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.artifacts.locks import flush, locked
from tasks.sources.locate import DEMO_MARKER

MAX_BYTES = 20 * 1024**3
"""Most that an archive may unpack to; KuaiRec takes less than a tenth of it."""
MAX_RATIO = 100
"""Most that an archive may grow when unpacked; CSV files grow three- to tenfold."""

_WANTED = {raw.file_name for raw in RAW_FILES.values()} | {DEMO_MARKER}
_REQUIRED = {raw.file_name for raw in RAW_FILES.values() if raw.is_required}
_ENCRYPTED = 0x1
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
)
"""What zipfile raises over damaged bytes, and over ways of packing that it does not know."""
_CURE = "Get KuaiRec.zip again from https://zenodo.org/records/18164998 and compare its md5."


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the CSV files of a KuaiRec zip into ``folder``, which must be new or empty.

    Files keep their relative paths; what is not of the data set (notebooks, ``__MACOSX``) stays
    behind. ``folder`` appears only when all is in it and on the disk.

    Raises:
        SourceError: the archive is absent, damaged, incomplete or encrypted, has an entry that
            would land outside ``folder`` or is a link, would grow beyond ``MAX_BYTES`` or
            ``MAX_RATIO``; or ``folder`` is in use or cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        with locked(folder.with_name(f".{folder.name}.lock")):
            if folder.exists() and any(folder.iterdir()):
                raise SourceError(f"{folder} is not empty. Remove it, or unpack to another folder.")
            # while we hold the lock, one that is there was left by a run that was killed
            shutil.rmtree(partial, ignore_errors=True)
            try:
                _unpack_all(archive, partial)
                partial.rename(folder)
                flush(folder.parent)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise SourceError(
            f"Cannot unpack {archive} to {folder}: {error}. "
            "Check that the archive can be read and the disk has room, then try again."
        ) from error


def _unpack_all(archive: Path, folder: Path) -> None:
    try:
        opened = zipfile.ZipFile(archive)
    except _DAMAGE as error:
        raise SourceError(f"{archive} is no whole zip file: {error}. {_CURE}") from error
    with opened:
        entries = _wanted_entries(opened, archive)
        _refuse_bomb(entries, archive)
        for path, entry in entries.items():
            try:
                _extract(opened, entry, folder / path)
            except _DAMAGE as error:
                raise SourceError(
                    f"{archive}: {entry.filename} cannot be unpacked: {error}. {_CURE}"
                ) from error


def _wanted_entries(opened: zipfile.ZipFile, archive: Path) -> dict[Path, zipfile.ZipInfo]:
    """Return the entries to unpack by their relative path, after a look at every entry."""
    wanted: dict[Path, zipfile.ZipInfo] = {}
    for entry in opened.infolist():
        path = _safe_path(entry, archive)
        is_aside = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if path.name not in _WANTED or is_aside or entry.is_dir():
            continue
        if entry.flag_bits & _ENCRYPTED:
            raise SourceError(
                f"{archive}: {entry.filename} is encrypted, which KuaiRec never is. {_CURE}"
            )
        if path in wanted:
            raise SourceError(f"{archive} holds {entry.filename} twice. {_CURE}")
        wanted[path] = entry
    if absent := sorted(_REQUIRED - {path.name for path in wanted}):
        raise SourceError(f"{archive} is not KuaiRec: it lacks {', '.join(absent)}. {_CURE}")
    return wanted


def _safe_path(entry: zipfile.ZipInfo, archive: Path) -> Path:
    # Windows' rules also split at backslashes and know drives: what is safe there is safe anywhere
    path = PureWindowsPath(entry.filename)
    if path.anchor or ".." in path.parts:
        raise SourceError(f"{archive}: {entry.filename} would land outside the folder. {_CURE}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SourceError(f"{archive}: {entry.filename} is a link or device, no file. {_CURE}")
    return Path(*path.parts)


def _refuse_bomb(entries: dict[Path, zipfile.ZipInfo], archive: Path) -> None:
    declared = sum(entry.file_size for entry in entries.values())
    allowed = min(MAX_BYTES, MAX_RATIO * archive.stat().st_size)
    if declared > allowed:
        largest = max(entries.values(), key=lambda entry: entry.file_size)
        raise SourceError(
            f"{archive} would unpack to {declared:,} bytes, most of them {largest.filename}; "
            f"at most {allowed:,} are believable for an archive of its size. {_CURE}"
        )


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Write one entry; zipfile reads no byte beyond the declared size and checks the CRC."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink, 1024**2)
        sink.flush()
        os.fsync(sink.fileno())
        if sink.tell() != entry.file_size:
            raise zipfile.BadZipFile(f"{sink.tell():,} bytes of {entry.file_size:,} came out")
    flush(target.parent)
