"""What keeps raw files whole: one writer at a time, and renames that outlast a power cut."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; wait while another process or thread holds it.

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
            logger.warning("Another process holds %s; waiting for it to finish.", path)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def flush_folder(folder: Path) -> None:
    """Put the names in ``folder`` on the disk, as fsync does for a file's content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
