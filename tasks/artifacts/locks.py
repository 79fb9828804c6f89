"""What keeps files whole: one writer at a time, and renames that outlast a power cut."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, work: str | None = None, *, is_shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``; wait while another process or thread holds it.

    Any number may hold it that share it. Where the wait may be long, the log says that somebody
    else is at this ``work``.

    The operating system lets go of it when its holder ends, killed or not. The file itself stays:
    removing it would let a third process lock a new file while a second waits on the old one.

    Raises:
        OSError: the lock file cannot be created, or its file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if work is not None:
                logger.info("another run is at %s: waiting for it", work)
            fcntl.flock(handle, kind)
        yield


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file ``path`` just now."""
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def flush(place: Path) -> None:
    """Put a file, or the names in a folder, on the disk: they outlive a loss of power then."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
