"""What keeps files whole: one writer at a time, and renames that outlast a power cut."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, work: str | None = None) -> Iterator[None]:
    """Hold the lock file ``path``; wait while another process or thread holds it.

    Where the wait may be long, the log says that somebody else is at this ``work``.

    The operating system lets go of it when its holder ends, killed or not. The file itself stays:
    removing it would let a third process lock a new file while a second waits on the old one.

    Raises:
        OSError: the lock file cannot be created, or its file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if work is not None:
                logger.info("another run is at %s: waiting for it", work)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def flush(place: Path) -> None:
    """Put a file, or the names in a folder, on the disk: they outlive a loss of power then."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
