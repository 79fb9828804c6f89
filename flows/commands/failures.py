"""How a command ends that fails: in one line, its traceback in a file that the line names."""

import copy
import logging
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TextIO

from flows.commands.remedies import chain, cure_of, first_line
from flows.commands.terminal import fail
from schemas.addresses import without_secrets
from schemas.errors import GrailError
from schemas.paths import absolute, is_url

PROJECT = Path(__file__).parents[2]
LOUD = ("prefect", "prefect.flow_runs", "prefect.task_runs", "mlflow")
"""Loggers that show tracebacks on the console."""


@contextmanager
def one_line(prog: str, root: str | None = None) -> Iterator[None]:
    """End the process with one line where the block fails.

    What a person can mend is told with its cure, anything else as a fault of this project's. Their
    tracebacks are kept in a file under ``root``, or a temporary one. An interrupt is no failure.
    """
    try:
        yield
    except GrailError as error:
        fail(prog, str(error), code=1)
    except Exception as error:  # noqa: BLE001  # nothing may end in a traceback
        _fail_with_log(prog, error, root)


def _fail_with_log(prog: str, error: Exception, root: str | None) -> NoReturn:
    for one in chain(error):
        if isinstance(one, GrailError):  # and then Prefect could not be told of it
            fail(prog, str(one), code=1)
    kept = keep_traceback(prog, error, root)
    where = f"traceback: {kept}" if kept else "no traceback could be kept"
    if cure := cure_of(error):
        fail(prog, f"{cure}; {where}", code=1)
    fail(prog, f"this is a fault of Grail's: {first_line(error)} {_place(error)}; {where}", code=1)


def keep_traceback(prog: str, error: BaseException, root: str | None) -> Path | None:
    """Write an error's traceback to a file that its owner alone can read; return where it is."""
    text = without_secrets("".join(traceback.format_exception(error)))
    name = f"{prog.rpartition(' ')[2]}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    for folder in (log_folder(root), tempfile.gettempdir()):
        if folder is not None:
            path = Path(folder) / name
            try:
                with private_file(path) as file:
                    file.write(text)
            except OSError:  # where the disk is full, another one may not be
                with suppress(OSError):
                    path.unlink()
                continue
            return path
    return None


def log_folder(root: str | None) -> Path | None:
    """Return the private folder for logs under a local root; None where the root is not there."""
    if root is None or is_url(root):
        return None
    folder = absolute(root) / "logs"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder


def private_file(path: Path) -> TextIO:
    """Open a new text file that its owner alone can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _place(error: BaseException) -> str:
    """Return where in this project an error came up."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(PROJECT) and ".venv" not in frame.filename
    ]
    if not ours:
        return ""
    return f"in {Path(ours[-1].filename).relative_to(PROJECT)}:{ours[-1].lineno}"


class OneLineFormatter(logging.Formatter):
    """Formats as another does, but errors without traceback and in their first line only."""

    def __init__(self, inner: logging.Formatter) -> None:
        """Take the formatter that lays out the line."""
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Lay out a record; it stays as it is for other handlers."""
        if record.levelno < logging.ERROR:
            return self._inner.format(record)
        short = copy.copy(record)
        short.exc_info = short.exc_text = short.stack_info = None
        lines = without_secrets(record.getMessage()).splitlines() or [""]
        short.msg, short.args = lines[0], ()
        return self._inner.format(short)


def shorten_console() -> None:
    """Keep tracebacks off the console, where ``one_line`` tells of the error; not off pages.

    Nor does a log that cannot be sent write to the console: Prefect does so at each batch.
    """
    logging.raiseExceptions = False
    handlers = {handler for name in LOUD for handler in logging.getLogger(name).handlers}
    for handler in handlers:
        is_console = getattr(handler, "console", None) or getattr(handler, "stream", None)
        if is_console and not isinstance(handler.formatter, OneLineFormatter):
            handler.setFormatter(OneLineFormatter(handler.formatter or logging.Formatter()))
