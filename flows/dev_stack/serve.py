"""Runs a web server of `up` behind its door, as ``serve prefect|mlflow HOST PORT``.

What they are to do is in the environment, as `up` makes it: no other user can see it there.
"""

import os
import sys
from collections.abc import Callable, Mapping

import uvicorn
from starlette.types import ASGIApp

from flows.commands.terminal import fail
from flows.dev_stack.access_guard import Door
from flows.dev_stack.credentials import PASSWORD, USER
from flows.dev_stack.mlflow_server import MLFLOW_DATABASE
from flows.prefect_schema import make_prefect_database
from schemas.errors import GrailError
from tasks.tracking.database import prepare_database

ALLOWED_HOSTS = "GRAIL_ALLOWED_HOSTS"
"""Environment variable: the names by which the servers may be called, with commas between them."""

MLFLOW_FILES = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
MLFLOW_STORE = "MLFLOW_ARTIFACTS_DESTINATION"
"""Environment variables of MLflow's: where clients find a new experiment's files, and, if that is
the server itself (``mlflow-artifacts:/``), where it keeps them."""


def prefect() -> ASGIApp:
    """Return Prefect's server. It asks for the login itself, in its pages and in its sockets."""
    make_prefect_database()
    from prefect.server.api.server import create_app

    return Door(create_app(final=True), allowed_hosts())


def mlflow() -> ASGIApp:
    """Return MLflow's server, as its own command would run it, on a database that is whole."""
    prepare_database(os.environ[MLFLOW_DATABASE])
    from mlflow.server import constants
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    database, files = os.environ[MLFLOW_DATABASE], os.environ[MLFLOW_FILES]
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = database
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = files
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = os.environ.get(MLFLOW_STORE, files)
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    initialize_backend_stores(database, database, files)
    login = f"{os.environ[USER]}:{os.environ[PASSWORD]}" if USER in os.environ else None
    return Door(app, allowed_hosts(), login)


def allowed_hosts() -> list[str]:
    """Return the names by which the server may be called."""
    return os.environ[ALLOWED_HOSTS].split(",")


SERVERS: Mapping[str, tuple[Callable[[], ASGIApp], str]] = {
    "prefect": (prefect, os.environ.get("PREFECT_SERVER_LOGGING_LEVEL", "warning").lower()),
    "mlflow": (mlflow, "info"),
}
"""What makes each, and how much it logs."""


def main(name: str, host: str, port: str) -> None:
    """Run a server until it is told to end."""
    make, level = SERVERS[name]
    try:
        app = make()
    except GrailError as error:
        fail(f"python -m flows.dev_stack.serve {name}", str(error), code=1)
    uvicorn.run(app, host=host, port=int(port), log_level=level)


if __name__ == "__main__":
    main(*sys.argv[1:])
