"""The one place that writes on the terminal."""

import os
import sys
from typing import NoReturn

from schemas.printable import printable


def say(*lines: str, on_stderr: bool = False) -> None:
    """Write lines, at once, whoever reads them.

    Text of others may be in them, and must not command the terminal. Nobody may be reading.
    """
    stream = sys.stderr if on_stderr else sys.stdout
    try:
        print(*map(printable, lines), sep="\n", file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def fail(prog: str, reason: str, code: int = 2) -> NoReturn:
    """End the process with one line on stderr."""
    say(f"{prog}: {reason}", on_stderr=True)
    raise SystemExit(code)
