"""Finds KuaiRec's CSV files in a folder, however people unpacked it, and fingerprints them.

Not here: reading the files (ingest), and getting them (``archive``, ``download``).
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.artifacts.checksum import sha256_of
from tasks.sources.log_files import LOG, log_parts

DEMO_MARKER = "demo.json"
"""Lies beside ``big_matrix.csv`` of a generated world, so that it never passes for real data."""

FILES_AT_ONCE = 2
"""Files hashed together: beside KuaiRec's largest, one more thread is through with the others."""

MOST_FOLDERS = 5_000
"""Most folders that are searched for files which are in no likely one."""
MOST_NAMED = 5

_REQUIRED = {name: raw.file_name for name, raw in RAW_FILES.items() if raw.is_required}
_OPTIONAL = {name: raw.file_name for name, raw in RAW_FILES.items() if not raw.is_required}
_CURE = (
    "Give the folder that holds KuaiRec's CSV files, or one that contains 'KuaiRec 2.0/data', "
    "'KuaiRec/data' or 'data'; unpack KuaiRec.zip again if files are gone."
)


@dataclass(frozen=True)
class RawFolder:
    """The raw files of one copy of the data set."""

    files: Mapping[str, Path]
    """Table name (a key of ``schemas.raw_files.RAW_FILES``) to file."""
    missing: tuple[str, ...]
    """Table names of the optional files that are not there."""
    is_demo: bool
    """Whether the files are a generated world."""
    log_parts: tuple[Path, ...] = ()
    """Files of the log where it is not one file: then ``files`` has no ``interactions``."""


@dataclass(frozen=True)
class _Place:
    """Where is searched, and what people call it."""

    path: Path
    called: str | None

    def __str__(self) -> str:
        return self.called or str(self.path)

    def name_of(self, folder: Path) -> str:
        return str(Path(str(self)) / folder.relative_to(self.path))

    def listed(self, folders: Sequence[Path]) -> str:
        rest = len(folders) - MOST_NAMED
        named = ", ".join(f"'{self.name_of(folder)}'" for folder in folders[:MOST_NAMED])
        return named + (f" and {rest} more" if rest > 0 else "")


def locate(path: Path, called: str | None = None) -> RawFolder:
    """Find the raw files at or below ``path``, first in folders named ``data`` or like KuaiRec.

    If nothing is there, all folders are searched, but hidden ones. An optional file may also lie
    above the data folder, up to ``path``: the newer ones are published beside the zip. The nearest
    copy counts. Messages name ``path`` as ``called``: the zip that was unpacked to it.

    Raises:
        SourceError: ``path`` is no readable folder, holds no data folder or several, or the
            one it holds lacks a required file.
    """
    place = _Place(path, called)
    try:
        data = _data_folder(place)
        parts = log_parts(data)
        _require_all(data, place, has_log=bool(parts))
        files = {n: data / file for n, file in _REQUIRED.items() if not (parts and n == LOG)}
        for name, file_name in _OPTIONAL.items():
            for folder in _upwards(data, path):
                if (folder / file_name).is_file():
                    files[name] = folder / file_name
                    break
        is_demo = (data / DEMO_MARKER).is_file()
    except OSError as error:
        raise SourceError(f"Cannot look for KuaiRec's files in {path}: {error}.") from error
    missing = tuple(name for name in _OPTIONAL if name not in files)
    return RawFolder(files, missing, is_demo, parts)


def read_whole(path: Path) -> str:
    """Return the SHA-256 of a file's content, in bounded memory; OSError."""
    with path.open("rb") as content:
        return sha256_of(content)


def fingerprint(
    files: Mapping[str, Path], sha256: Callable[[Path], str] = read_whole
) -> dict[str, str]:
    """Return the SHA-256 of each file's content, by table name.

    ``sha256`` may know it without reading, as ``tasks.artifacts.known_files`` does.

    Raises:
        SourceError: a file cannot be read.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        found = pool.map(lambda path: _digest(path, sha256), files.values())
        return dict(zip(files, found, strict=True))


@contextmanager
def unchanged(path: Path, checksum: str) -> Iterator[None]:
    """Hold a block that reads a file to the file's SHA-256, which was taken before.

    Raises:
        SourceError: the file was another one while the block read it, whatever came of that.
    """
    try:
        yield
    except Exception as error:
        _refuse_changed(path, checksum, error)
        raise
    _refuse_changed(path, checksum, None)


def _refuse_changed(path: Path, checksum: str, error: Exception | None) -> None:
    if _digest(path) != checksum:
        raise SourceError(
            f"{path} changed while it was read. Let it be finished, then run again: nothing of it"
            " was kept."
        ) from error


def _digest(path: Path, sha256: Callable[[Path], str] = read_whole) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error}. {_CURE}") from error


def _data_folder(place: _Place) -> Path:
    if not place.path.is_dir():
        what = "is a file, not a folder" if place.path.is_file() else "does not exist"
        raise SourceError(f"{place.path} {what}. {_CURE}")
    likely = list(_likely_folders(place.path))
    found = [folder for folder in likely if _holds_any_required(folder)]
    found = found or [f for f in _all_folders(place) if _holds_any_required(f)]
    if not found:
        raise SourceError(
            f"No KuaiRec data in {place}: none of {', '.join(_REQUIRED.values())} in "
            f"{place.listed(likely)} or any folder below. {_zip_beside(place.path)}{_CURE}"
        )
    if len(found) > 1:
        raise SourceError(
            f"{place} holds more than one KuaiRec data folder: {place.listed(found)}. "
            f"Give the one you mean{', unpacked' if place.called else ''}."
        )
    return found[0]


def _zip_beside(path: Path) -> str:
    zips = sorted(path.glob("*.zip"))
    return f"There is {zips[0].name}: give that file itself. " if zips else ""


def _likely_folders(path: Path) -> Iterator[Path]:
    """Yield ``path`` and each folder below it that can be on the way to the data, each once."""
    waiting, seen = [path], set()
    while waiting:
        folder = waiting.pop(0)
        # a link to a folder that is searched anyway is not a second copy, and may be a cycle
        if (real := folder.resolve()) in seen:
            continue
        seen.add(real)
        yield folder
        waiting += sorted(
            child for child in folder.iterdir() if _is_likely(child.name) and child.is_dir()
        )


def _is_likely(folder_name: str) -> bool:
    name = folder_name.lower()
    # hidden ones are what an unpacking that was killed may have left behind
    return name == "data" or ("kuairec" in name and not name.startswith("."))


def _all_folders(place: _Place) -> Iterator[Path]:
    """Yield ``path`` and every folder below it, near ones first, without hidden ones and links."""
    waiting = deque([place.path])
    seen = 0
    while waiting:
        folder = waiting.popleft()
        yield folder
        seen += 1
        if seen > MOST_FOLDERS:
            raise SourceError(
                f"{place} has more than {MOST_FOLDERS:,} folders and KuaiRec's files in none of the"
                f" nearest. {_CURE}"
            )
        with suppress(PermissionError):  # somebody else's folder below a large one
            waiting += sorted(
                child
                for child in folder.iterdir()
                if not child.name.startswith((".", "__MACOSX"))
                and not child.is_symlink()
                and child.is_dir()
            )


def _holds_any_required(folder: Path) -> bool:
    return any((folder / file_name).is_file() for file_name in _REQUIRED.values())


def _require_all(data: Path, place: _Place, *, has_log: bool) -> None:
    needed = [file for name, file in _REQUIRED.items() if not (has_log and name == LOG)]
    absent = [file for file in needed if not (data / file).is_file()]
    if absent:
        raise SourceError(
            f"{place.name_of(data)} lacks {', '.join(absent)}, which every run needs. {_CURE}"
        )


def _upwards(data: Path, top: Path) -> Iterator[Path]:
    yield data
    while data != top:
        data = data.parent
        yield data
