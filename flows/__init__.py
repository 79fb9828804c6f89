"""The flows: the order of work, and the commands that start them.

The environment is settled here, before Prefect, MLflow or NumPy are imported by anything.
"""

import logging
import os

from schemas.errors import GrailError

ENVIRONMENT = {
    # implicit and Polars bring their own threads; a BLAS with threads of its own fights them
    "OPENBLAS_NUM_THREADS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "tasks",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # the tasks also work without a flow
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that is not there, or says nothing, is an error after half a minute: two questions of
    # 14 s, and no more waits than tasks.steps makes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "14",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "PGCONNECT_TIMEOUT": "14",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
}

for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)


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
