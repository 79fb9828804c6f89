"""Who is at work on a root on an object store, and how somebody gets it at rest.

Whoever works there holds a lease of their own (``ROOT/.turns/users/<id>``), taken while the gate is
theirs. Whoever wants the root at rest holds the gate while they look, and lets go of it as long as
a lease is held, so that nobody waits for those who wait. A holder that has gone is told as for any
lease: by its process on this machine, by its file standing still on another.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tasks.artifacts.holder import has_gone
from tasks.artifacts.lease import FREE, LOOK_SECONDS, LOST_SECONDS, Lease, Versioned

logger = logging.getLogger(__name__)

GATE = "pruning"


class Listed(Versioned, Protocol):
    """What keeps versioned small files, and can say which there are."""

    root: str

    def names(self, folder: str) -> list[str]:
        """Return the paths of what is in a folder."""

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""


class Presence:
    """Those who are at work on a root, by their leases."""

    def __init__(self, files: Listed) -> None:
        """Take what keeps the root's small files; nothing is asked yet."""
        self._files = files
        self._folder = f"{files.root}/.turns/users"
        self._seen: dict[str, tuple[str, float]] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold a lease of one's own, which nobody else waits for but who wants the root at rest."""
        path = f"{self._folder}/{uuid.uuid4().hex}"
        own = Lease(self._files, path, "work on this root")
        with self._gate():
            own.__enter__()
        try:
            yield
        finally:
            own.__exit__()
            self._files.remove(path)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Hold the gate when nobody is at work."""
        has_said = False
        while True:
            with self._gate():
                if self.is_nobody():
                    yield
                    return
            if not has_said:
                logger.info("another run is at work on this root: waiting for it")
                has_said = True
            time.sleep(LOOK_SECONDS)

    def is_nobody(self) -> bool:
        """Whether nobody holds a lease, as far as can be told at once."""
        return not any(map(self._is_held, self._files.names(self._folder)))

    def _gate(self) -> Lease:
        return Lease(self._files, f"{self._files.root}/.turns/{GATE}", GATE)

    def _is_held(self, path: str) -> bool:
        """Whether a lease is held; one that is not goes."""
        version = self._files.version(path)
        if version is None:
            return False
        before, since = self._seen.get(path, ("", 0.0))
        if version != before:
            since = time.monotonic()
            self._seen[path] = version, since
        is_lost = time.monotonic() - since > LOST_SECONDS
        if is_lost or self._is_free(path):
            self._files.remove(path)
            return False
        return True

    def _is_free(self, path: str) -> bool:
        try:
            by = self._files.read(path)
        except FileNotFoundError:
            return True
        return by == FREE or has_gone(by.decode(errors="replace").partition("\n")[0])
