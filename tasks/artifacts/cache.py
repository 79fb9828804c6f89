"""What of remote roots is kept on this machine: for its user alone, and no more than they allow.

``<folder>/artefacts/<content>/`` holds the files of one content, of whatever root. An entry is in
use while a process holds a shared lock on its folder; of the others, those that were not used for
the longest time go first. Who has opened a file keeps it, whatever becomes of its name.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeAlias

from fsspec.implementations.local import LocalFileSystem

from schemas.artifacts import FileEntry
from schemas.errors import ConfigError, StoreError
from tasks.artifacts.local_backend import STAGING, staging_prefix
from tasks.artifacts.locks import locked
from tasks.artifacts.manifest import check_files, under
from tasks.artifacts.user_folder import FOLDER, folder_of_user, own_folder

MAXSIZE = "GRAIL_CACHE_MAXSIZE"
"""Environment variable with the bytes to be kept, as 500M or 20G."""

DEFAULT_MAXSIZE = "20G"
Pins: TypeAlias = dict[Path, int]
"""Open file descriptors by the entry that each keeps in its place."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Cache:
    """A folder of this user on this machine, shared by all their processes and roots."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        """Take a folder that is there."""
        self.root = root
        self._entries = root / "artefacts"
        self._max_bytes = max_bytes

    @classmethod
    def of_user(cls) -> Self:
        """Make the user's cache as their environment says; StoreError if it cannot be."""
        max_bytes = bytes_of(os.environ.get(MAXSIZE) or DEFAULT_MAXSIZE)
        folder = folder_of_user()
        try:
            cache = cls(own_folder(folder), max_bytes)
            for made in (cache._entries, folder / STAGING):
                made.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot keep what remote roots need on this machine in {folder}: {error}. Name a"
                f" folder that this user may write with {FOLDER}"
            ) from error
        return cache

    def entry(
        self,
        content: str,
        files: Mapping[str, FileEntry],
        fetch: Callable[[Path], None],
        pins: Pins,
    ) -> Path:
        """Return the folder with files of a content, which ``fetch`` fills if they are not there.

        It stays while what is added to ``pins`` is open. StoreError if what is fetched is not what
        it should be.
        """
        place = self._entries / content
        # One lock for some contents: there would be ever more of them otherwise
        with locked(self.root / STAGING / f"fetch-{content[:1]}.lock"):
            pin = pinned(place)
            if pin is not None and not is_whole(place, files):
                os.close(pin)
                pin = None
            if pin is None:
                pin = self._fill(place, files, fetch)
        os.utime(place)
        if place in pins:
            os.close(pin)
        else:
            pins[place] = pin
        return place

    def _fill(
        self, place: Path, files: Mapping[str, FileEntry], fetch: Callable[[Path], None]
    ) -> int:
        """Fetch an entry, and return what keeps it in its place."""
        with tempfile.TemporaryDirectory(dir=self.root / STAGING, prefix=staging_prefix()) as own:
            copy = Path(own) / "copy"
            copy.mkdir()
            fetch(copy)
            check_files(LocalFileSystem(), under(str(copy), files))
            pin = pinned(copy)
            if place.exists():
                place.rename(Path(own) / "damaged")
            copy.rename(place)
        with locked(self.root / STAGING / "room.lock"):
            self._make_room()
        assert pin is not None  # noqa: S101  # nobody else knows of the copy
        return pin

    def _make_room(self) -> None:
        """Remove what was not used for longest, until the rest is no more than allowed."""
        found = sorted((entry.stat().st_mtime, entry) for entry in self._entries.iterdir())
        sizes = {entry: size_of(entry) for _, entry in found}
        too_many = sum(sizes.values()) - self._max_bytes
        for entry in sizes:
            if too_many > 0 and self._remove_unused(entry):
                too_many -= sizes[entry]

    def _remove_unused(self, entry: Path) -> bool:
        """Remove an entry unless a process uses it; return whether it is gone."""
        folder = os.open(entry, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with tempfile.TemporaryDirectory(
                dir=self.root / STAGING, prefix=staging_prefix()
            ) as own:
                entry.rename(Path(own) / entry.name)
        except BlockingIOError:
            return False
        finally:
            os.close(folder)
        return True


def pinned(place: Path) -> int | None:
    """Return an open file descriptor that keeps an entry in its place; None if it is not there."""
    try:
        folder = os.open(place, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_SH)
        if os.fstat(folder).st_ino == place.stat().st_ino:
            return folder
    except FileNotFoundError:
        return None
    os.close(folder)  # it was removed while its lock was waited for
    return None


_found_whole: dict[Path, list[tuple[int, int, int]]] = {}
"""What this process has read of an entry, and found to be as it should."""


def is_whole(place: Path, files: Mapping[str, FileEntry]) -> bool:
    """Whether files are as they should be: all of them are read, unless this process did before."""
    try:
        stats = [(place / name).stat() for name in files]
        seen = [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]
        if _found_whole.get(place) != seen:
            check_files(LocalFileSystem(), under(str(place), files))
            _found_whole[place] = seen
    except (OSError, StoreError):
        return False
    return True


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def bytes_of(text: str) -> int:
    """Return how many bytes ``500M`` or ``20G`` are; ConfigError if it is no such text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ConfigError(f"{MAXSIZE} is {text!r}: give bytes, as 500M or 20G")
    return int(float(found[1]) * UNITS[found[2].upper()])
