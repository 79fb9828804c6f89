"""The flows: the order of work, and the commands that start them.

The environment is settled here, before Prefect, MLflow or NumPy are imported by anything.
"""

import logging
import os
import sys

from flows.environment import settle
from schemas.errors import GrailError

settle(os.environ, sys.argv[1:])


class OneLine(logging.Filter):
    """Strips the traceback of errors that a person can mend: their message says all."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; drop the traceback of a GrailError."""
        if record.exc_info and isinstance(record.exc_info[1], GrailError):
            record.exc_info = None
        return True


logging.getLogger("tasks").setLevel(logging.INFO)  # progress of long work; Prefect shows it
for name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(name).addFilter(OneLine())
