"""MLflow's server, on a database that is made whole before the server opens it.

The flags are those of `mlflow server`. The database is MLFLOW_BACKEND_STORE_URI's, in the
environment, where no other user can see a password, or else that of the root in GRAIL_ROOT.
"""

import os
import sys

from flows.commands.terminal import fail
from schemas.errors import TrackingError
from schemas.paths import absolute, sqlite_address
from tasks.tracking.database import prepare_database

PROG = "python -m flows.dev_stack.mlflow_server"
MLFLOW_DATABASE = "MLFLOW_BACKEND_STORE_URI"
THIS_MACHINE = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"
"""Names by which a browser may call it: MLflow's own list takes 10.example.org for a neighbour."""


def main() -> None:
    """Look at the database, make it if it is not there, and become the server."""
    if MLFLOW_DATABASE not in os.environ:
        file = absolute(os.environ.get("GRAIL_ROOT", "data")) / "mlflow.db"
        os.environ[MLFLOW_DATABASE] = sqlite_address(file)
    os.environ.setdefault("MLFLOW_SERVER_ALLOWED_HOSTS", THIS_MACHINE)
    try:
        prepare_database(os.environ[MLFLOW_DATABASE])
    except TrackingError as error:
        fail(PROG, str(error), code=1)
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
