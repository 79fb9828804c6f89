"""Checksums beside a model's files: a changed byte is noticed before anything of it is used.

They travel with the files, to wherever a model is logged, fetched and served from.
"""

import hashlib
import json
from pathlib import Path

from schemas.errors import ModelError
from tasks.artifacts.checksum import sha256_of

CHECKSUMS = "checksums.json"


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files in ``folder``, those in its folders too, and their own."""
    files = {
        str(path.relative_to(folder)): _checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({"files": files, "of_these": _of_these(files)}, indent=1)
    (folder / CHECKSUMS).write_text(text + "\n")


def check_checksums(folder: Path) -> None:
    """Read every byte that was there to be written down; ModelError names what has changed."""
    try:
        listed = json.loads((folder / CHECKSUMS).read_bytes())
        files: dict[str, str] = listed["files"]
        is_whole = listed["of_these"] == _of_these(files)
    except OSError as error:
        raise ModelError(f"{CHECKSUMS} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ModelError(f"{CHECKSUMS} is damaged")
    for name, checksum in files.items():
        try:
            found = _checksum(folder / name)
        except OSError as error:
            raise ModelError(f"{name} cannot be read: {error.strerror}") from error
        if found != checksum:
            raise ModelError(f"{name} is damaged: it is not what was saved")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_of(file)


def _of_these(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
