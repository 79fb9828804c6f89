"""A turn that one process of all machines has at a time, kept by a file on the object store.

Who has it writes the file anew every few seconds, each time in the place of its own last writing.
A holder that has not written for ``LOST_SECONDS``, by the clock of who waits, has gone: the file is
then replaced, which one of all that wait can do. So no two clocks are compared.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Protocol

from schemas.errors import StoreError
from tasks.artifacts.holder import has_gone, holder

logger = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
LOST_SECONDS = 60.0
LOOK_SECONDS = 2.0
FREE = b"free"


class Versioned(Protocol):
    """What keeps small files, and can replace a version of one."""

    def read(self, path: str) -> bytes:
        """Return what is in a file; FileNotFoundError."""

    def version(self, path: str) -> str | None:
        """Return what tells a file from what may replace it; None where there is none."""

    def replace(self, path: str, data: bytes, version: str | None) -> str | None:
        """Write a file if it is still of a version; return its new one, None if it was not."""


class Lease:
    """The turn at a piece of work, as a context; the file says who has it."""

    def __init__(self, files: Versioned, path: str, work: str) -> None:
        """Name the file and the work; nothing is asked yet."""
        self._files = files
        self._path = path
        self._work = work
        self._version: str | None = None
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        """Wait for the turn."""
        seen, since, has_said = None, time.monotonic(), False
        while not self._take(is_lost=time.monotonic() - since > LOST_SECONDS):
            if not has_said:
                logger.info("another machine is at the %s of this root: waiting", self._work)
                has_said = True
            if self._version != seen:
                seen, since = self._version, time.monotonic()
            time.sleep(LOOK_SECONDS)
        self._beating.start()

    def __exit__(self, *error: object) -> None:
        """Let the next one have it."""
        self._ended.set()
        self._beating.join()
        try:
            self._files.replace(self._path, FREE, self._version)
        except (OSError, StoreError) as lost:  # the others will see that it is not renewed
            logger.warning("the turn at the %s could not be given back: %s", self._work, lost)

    def _take(self, *, is_lost: bool) -> bool:
        """Take the turn if nobody has it, or who had it has gone; return whether it was taken."""
        version = self._files.version(self._path)
        if version is not None and not (is_lost and version == self._version):
            self._version = version
            try:
                by = self._files.read(self._path)
            except FileNotFoundError:
                return False
            if by != FREE and not has_gone(by.decode(errors="replace").partition("\n")[0]):
                return False
        return self._write(version)

    def _write(self, version: str | None) -> bool:
        text = f"{holder()}\n{uuid.uuid4().hex}\n".encode()  # each writing is another version
        written = self._files.replace(self._path, text, version)
        self._version = written or self._version
        return written is not None

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                if not self._write(self._version):
                    logger.warning("another machine has taken over the %s", self._work)
                    return
            except (OSError, StoreError) as lost:
                logger.warning("the turn at the %s could not be renewed: %s", self._work, lost)
