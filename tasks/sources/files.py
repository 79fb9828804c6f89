"""Finds KuaiRec's CSV files in a folder, however people unpacked it, and fingerprints them.

Not here: reading the files (ingest), and getting them (``archive``, ``download``).
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SourceError
from schemas.raw import RAW_FILES
from tasks.sources.checksum import sha256_of

DEMO_MARKER = "demo.json"
"""Lies beside ``big_matrix.csv`` of a generated world, so that it never passes for real data."""

FILES_AT_ONCE = 2
"""Files hashed together: beside KuaiRec's largest, one more thread is through with the others."""

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
    """Table name (a key of ``schemas.raw.RAW_FILES``) to file."""
    missing: tuple[str, ...]
    """Table names of the optional files that are not there."""
    is_demo: bool
    """Whether the files are a generated world."""


def locate(path: Path) -> RawFolder:
    """Find the raw files at or below ``path``, through folders named ``data`` or like KuaiRec.

    An optional file may also lie above the data folder, up to ``path``: the newer ones are
    published beside the zip. The nearest copy counts.

    Raises:
        SourceError: ``path`` is no readable folder, holds no data folder or several, or the
            one it holds lacks a required file.
    """
    try:
        data = _data_folder(path)
        _require_all(data)
        files = {name: data / file_name for name, file_name in _REQUIRED.items()}
        for name, file_name in _OPTIONAL.items():
            for folder in _upwards(data, path):
                if (folder / file_name).is_file():
                    files[name] = folder / file_name
                    break
        is_demo = (data / DEMO_MARKER).is_file()
    except OSError as error:
        raise SourceError(f"Cannot look for KuaiRec's files in {path}: {error}.") from error
    missing = tuple(name for name in _OPTIONAL if name not in files)
    return RawFolder(files, missing, is_demo)


def fingerprint(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of each file's content, by table name, in bounded memory.

    Raises:
        SourceError: a file cannot be read.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return dict(zip(files, pool.map(_digest, files.values()), strict=True))


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


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as content:
            return sha256_of(content)
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error}. {_CURE}") from error


def _data_folder(path: Path) -> Path:
    if not path.is_dir():
        what = "is a file, not a folder" if path.is_file() else "does not exist"
        raise SourceError(f"{path} {what}. {_CURE}")
    searched = list(_likely_folders(path))
    found = [folder for folder in searched if _holds_any_required(folder)]
    if not found:
        raise SourceError(
            f"No KuaiRec data in {path}: none of {', '.join(_REQUIRED.values())} in "
            f"{_listed(searched)}. {_CURE}"
        )
    if len(found) > 1:
        raise SourceError(
            f"{path} holds more than one KuaiRec data folder: {_listed(found)}. "
            "Give the one you mean."
        )
    return found[0]


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


def _holds_any_required(folder: Path) -> bool:
    return any((folder / file_name).is_file() for file_name in _REQUIRED.values())


def _require_all(data: Path) -> None:
    absent = [name for name in _REQUIRED.values() if not (data / name).is_file()]
    if absent:
        raise SourceError(f"{data} lacks {', '.join(absent)}, which every run needs. {_CURE}")


def _upwards(data: Path, top: Path) -> Iterator[Path]:
    yield data
    while data != top:
        data = data.parent
        yield data


def _listed(folders: list[Path]) -> str:
    return ", ".join(f"'{folder}'" for folder in folders)
