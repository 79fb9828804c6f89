"""The one place that writes on the terminal."""

import os
import sys

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
