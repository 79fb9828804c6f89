"""The one place that writes on the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn, TextIO

from schemas.printable import printable

if TYPE_CHECKING:
    from tasks.reporting.rendering import Printed


def say(*lines: str, on_stderr: bool = False) -> None:
    """Write lines, at once, whoever reads them.

    Text of others may be in them, and must not command the terminal. Nobody may be reading.
    """
    _write("\n".join(map(printable, lines)), sys.stderr if on_stderr else sys.stdout)


def _write(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # What could not be written is still in the buffer, and Python would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def show(report: Iterable[Printed]) -> None:
    """Write lines and tables of a report: plain where it is no terminal that takes styles."""
    from tasks.reporting.rendering import rendered

    _write(rendered(report, styled=takes_styles(sys.stdout)), sys.stdout)


def takes_styles(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows bold text, and its user has not said no."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in {"dumb", "unknown"}
    return stream.isatty() and not is_plain


def fail(prog: str, reason: str, code: int = 2) -> NoReturn:
    """End the process with one line on stderr."""
    say(f"{prog}: {reason}", on_stderr=True)
    raise SystemExit(code)
