"""The flows: the order of work, and the commands that start them.

The environment is settled here, before Prefect, MLflow or NumPy are imported by anything.
"""

import atexit
import gc
import logging
import os
import sys
from typing import Any

from flows.commands.supervisor import supervise

COMMAND = "python -m flows"
NEW_OBJECTS = 50_000
"""That Python makes before it looks for those among them that nobody can reach."""

# What a command and its children write is its user's alone: logs, databases, models, lists
os.umask(0o077)

# Python looks for garbage that holds itself after every 700 new objects, a sixth of the time of
# imports. What is large is given back by hand (tasks.artifacts.free_memory)
gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
# Nor need it look when it ends, a second or two: all memory goes with the process
atexit.register(gc.freeze)

# Python is about to run this package as a command, and not a module in it
if sys.argv[0] == "-m" and sys.orig_argv[-len(sys.argv)].removeprefix("-m") == "flows":
    word = next(iter(sys.argv[1:]), "-")
    if word != "up" and not word.startswith("-"):  # `up` waits for what it starts in its own way
        supervise(f"{COMMAND} {word}")

from flows.environment import settle, silence_harmless_warnings  # noqa: E402
from schemas.addresses import without_secrets  # noqa: E402
from schemas.errors import GrailError  # noqa: E402
from schemas.printable import printable  # noqa: E402

settle(os.environ, sys.argv[1:])
silence_harmless_warnings()


class OneLine(logging.Filter):
    """Strips the traceback of errors that a person can mend, and passwords from every other one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; drop the traceback of a GrailError, whose message says all."""
        if has_cure(record):
            record.exc_info = None
        elif record.exc_info:  # Prefect keeps it in its database
            record.exc_text = without_secrets(logging.Formatter().formatException(record.exc_info))
        return True


def has_cure(record: logging.LogRecord) -> bool:
    """Whether a record tells of an error whose message says what to do."""
    return record.exc_info is not None and isinstance(record.exc_info[1], GrailError)


def as_printable(*args: Any, **fields: Any) -> logging.LogRecord:
    """Make a log record whose message is printable: it may quote a file name or a server."""
    record = logging.LogRecord(*args, **fields)
    message = record.getMessage()
    if (shown := printable(message)) != message:
        record.msg, record.args = shown, ()
    return record


logging.setLogRecordFactory(as_printable)
# Progress of long work is shown, unless a person wants to hear less
wanted = os.environ.get("PREFECT_LOGGING_LEVEL", "INFO").upper()
logging.getLogger("tasks").setLevel(logging.getLevelNamesMapping().get(wanted, logging.INFO))
for name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(name).addFilter(OneLine())
# What runs a deployment's flow says once more that it failed, when the flow has said why
logging.getLogger("prefect.engine").addFilter(lambda record: not has_cure(record))
