"""Progress of long work on Prefect's pages, read off what the pure rooms log.

A record with ``extra={"progress": share}`` says how much is done, 0 to 1; nothing else is needed
there. The logger is that of all tasks: a bar hears the thread that it was made in, and no other.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact


class Bar(logging.Handler):
    """Turns the progress in log records into one artifact, made when the first one comes."""

    def __init__(self, key: str, description: str) -> None:
        """Take the artifact's key, lower-case letters, digits and dashes, and what it is of."""
        super().__init__()
        self.key, self.description = key, description
        self.artifact: UUID | None = None
        thread = threading.get_ident()
        self.addFilter(lambda record: record.thread == thread)

    def emit(self, record: logging.LogRecord) -> None:
        """Move the bar; an unreachable server must not end the work it tells of."""
        share: float | None = getattr(record, "progress", None)
        if share is None:
            return
        try:
            self.show(100 * share)
        except Exception:  # noqa: BLE001  # as all handlers of logging do
            self.handleError(record)

    def show(self, percent: float) -> None:
        """Create the artifact, or move it."""
        if self.artifact is None:
            made = create_progress_artifact(percent, self.key, self.description)
            assert isinstance(made, UUID)  # noqa: S101  # no coroutine: we are in no event loop
            self.artifact = made
        else:
            update_progress_artifact(self.artifact, progress=percent)


@contextmanager
def progress_shown(key: str, description: str) -> Iterator[None]:
    """Show the progress that is logged within the block as an artifact of the running task.

    Work that ends well before its last step, as training that has stopped to get better, is done.
    """
    bar, logger = Bar(key, description), logging.getLogger("tasks")
    logger.addHandler(bar)
    try:
        yield
        if bar.artifact is not None:
            bar.handle(logging.makeLogRecord({"progress": 1.0}))
    finally:
        logger.removeHandler(bar)
