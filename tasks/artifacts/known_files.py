"""Checksums of files remembered by what the file system says of them: who has not changed is known.

A file is known by device, inode, size and both its times; whoever writes to it changes the time
that nobody can set. Not if they do so within one tick of the file system's clock after the last
change: so a file is remembered only if that clock had moved on before it was read, as git does for
its index. The clock is that of the memory's own file; a file of another file system, which may have
another clock, is read each time. Bits that a disk turns by itself change no time: for those there
is ``python -m flows check``, which reads everything.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from tasks.artifacts.checksum import sha256_of
from tasks.artifacts.remembered_lines import RememberedLines

MOST_BYTES = 2**22
"""Of what is remembered of a root's files."""


class Identity(NamedTuple):
    """What the file system says of a file: equal, and the file is as it was."""

    device: int
    inode: int
    bytes: int
    modified: int
    """When its content changed last, in nanoseconds; anybody can set it."""
    changed: int
    """When anything of it changed last, in nanoseconds; nobody can set it."""

    @classmethod
    def of(cls, file: Path | int) -> Identity:
        """Ask for that of a file, by path or open; OSError."""
        found = os.fstat(file) if isinstance(file, int) else file.stat()
        times = (found.st_mtime_ns, found.st_ctime_ns)
        return cls(found.st_dev, found.st_ino, found.st_size, *times)


class KnownFiles:
    """What a file remembers of others; where it cannot be written, nothing."""

    def __init__(self, file: Path) -> None:
        """Name the file; nothing is read yet."""
        self._lines = RememberedLines(file, MOST_BYTES)

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file, which is read unless it is known; OSError."""
        return self._known.get(Identity.of(path)) or self.read(path)

    def read(self, path: Path) -> str:
        """Read a file, whether it is known or not, and return its SHA-256; OSError."""
        before = self._now()
        with path.open("rb") as stream:
            found = Identity.of(stream.fileno())
            checksum = sha256_of(stream)
            if Identity.of(stream.fileno()) == found:
                self._note(found, checksum, before)
        return checksum

    def note_own(self, path: Path, checksum: str) -> None:
        """Remember a file that this process has written and read where nobody else knows of it."""
        self._note(Identity.of(path), checksum, self._now())

    @cached_property
    def _known(self) -> dict[Identity, str]:
        return {Identity(*found): checksum for *found, checksum in self._lines.read()}

    def _now(self) -> Identity | None:
        """Return what the file system says of the memory when it is touched: what time it is."""
        with suppress(OSError):
            self._lines.file.touch()
            return Identity.of(self._lines.file)
        return None

    def _note(self, found: Identity, checksum: str, now: Identity | None) -> None:
        is_same_clock = now is not None and now.device == found.device
        if now is None or not is_same_clock or max(found[-2:]) >= now.modified:
            return
        self._known[found] = checksum
        self._lines.add([*found, checksum])


@cache
def known_files(staging: Path) -> KnownFiles:
    """Return what is remembered in a root's staging folder, read once a process."""
    return KnownFiles(staging / "known_files")
