"""MLflow as the far side: what its failures mean, and which are worth another try."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import requests
import sqlalchemy.exc
import urllib3.exceptions
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from schemas.addresses import without_secrets
from schemas.errors import TrackingError, UnreachableError
from schemas.paths import sqlite_file

# What they log they also raise, and here it becomes one line; MLflow's has sixty
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

FAR_SIDE = (
    MlflowException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    sqlalchemy.exc.SQLAlchemyError,
    ModuleNotFoundError,
)
"""What reaching and using MLflow fails with. Whatever else is raised is not about MLflow."""

LOST = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
)
"""Those of them that may pass: of the way there, not of what was asked."""

BUSY = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}
"""MLflow's own names of errors that may pass."""

ALREADY_THERE = "RESOURCE_ALREADY_EXISTS"
"""Its name of what two that make the same at once get, the second of them."""

DRIVERS = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "psycopg[binary]",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
    "pyodbc": "pyodbc",
}
"""Packages to install, by the module that a database's address asks for."""


def ask_database(address: str) -> None:
    """Connect to a database server, once; do nothing where MLflow is asked over HTTP.

    MLflow itself would try ten times, for 100 s, before it said that nobody is there.
    """
    try:
        url = make_url(address)
    except sqlalchemy.exc.ArgumentError:
        return
    if url.get_backend_name() in {"postgresql", "mysql", "mssql"}:
        sqlalchemy.create_engine(url, poolclass=NullPool).connect().close()


def tracking_error(address: str, error: Exception) -> TrackingError | None:
    """Return what a failure of the far side is to a person; None if it is not about MLflow.

    UnreachableError where another try may do: not where an answer was waited for in vain.
    """
    if isinstance(error, ModuleNotFoundError):
        if error.name not in DRIVERS:
            return None
        return TrackingError(
            f"MLflow's database at {without_secrets(address)} needs a driver: pip install"
            f" '{DRIVERS[error.name]}'"
        )
    causes = list(_causes(error))
    kind = UnreachableError if _may_pass(causes) else TrackingError
    cure = "Start it" if sqlite_file(address) is None else "Mend that"
    return kind(
        f"MLflow at {without_secrets(address)} did not answer as it should:"
        f" {without_secrets(_reason(causes))}. {cure}, or choose another address with"
        " --tracking-uri; what was computed is kept"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it comes from, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(causes: list[BaseException]) -> str:
    """Return in one line what went wrong, as near to the far side as it is known."""
    for cause in causes:
        if isinstance(cause, ConnectionError | socket.gaierror) and cause.strerror:
            return cause.strerror
    if _was_waited_for(causes):
        return "it said nothing within MLFLOW_HTTP_REQUEST_TIMEOUT"
    inner = [cause for cause in causes if isinstance(cause, FAR_SIDE)][-1]
    return next(iter(str(inner).strip().splitlines()), type(inner).__name__)


def _was_waited_for(causes: list[BaseException]) -> bool:
    return any(isinstance(cause, TimeoutError) for cause in causes)


def _may_pass(causes: list[BaseException]) -> bool:
    if _was_waited_for(causes) or "timeout expired" in str(causes[0]):  # libpq's words
        return False
    return any(
        isinstance(cause, LOST) or getattr(cause, "error_code", None) in BUSY for cause in causes
    )
