"""One command for all of it: Prefect's server, a worker with all deployments, and MLflow."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec

from flows.environment import ENVIRONMENT, PREFECT_DATABASE
from flows.leftovers import sweep
from flows.mlflow_server import MLFLOW_DATABASE
from flows.parameters import fail, flags
from flows.pool import POOL, Pool
from flows.servers import Servers, check_port, hold_signals, only_one, stop_on_signals
from schemas.addresses import without_secrets
from schemas.errors import GrailError, ServerError, SettingError
from schemas.paths import sqlite_address
from schemas.servers import UpConfig

PROG = "python -m flows.up"
PREFECT = ("prefect", "--no-prompt")
DRIVERS = {
    "postgresql": "psycopg2",
    "postgresql+psycopg2": "psycopg2",
    "postgresql+psycopg": "psycopg",
}


def main() -> None:
    """Start all, wait until told to stop, stop all."""
    config = flags(UpConfig, PROG)
    addresses = {"prefect": config.prefect_address, "mlflow": config.mlflow_address}
    stop_on_signals()
    try:
        with only_one(config.folder, {**addresses, "process": str(os.getpid())}) as other:
            if other is None:
                serve(config)
            else:
                show(f"{config.folder} is up already, or starting", other)
    except (GrailError, OSError) as error:
        fail(PROG, str(error), code=1)
    except KeyboardInterrupt:
        show("stopped", {})


def serve(config: UpConfig) -> None:
    """Run the servers of a root that nobody else serves, until one of them ends or a signal."""
    settings = environment(config)
    if ended := sweep(str(config.folder)):
        show(f"ended {ended} processes that were left of a killed one", {})
    check_port(config.host, config.prefect_port, "prefect_port")
    check_port(config.host, config.mlflow_port, "mlflow_port")
    show(f"starting on {config.folder}; half a minute", {})
    with Pool(settings["PREFECT_API_URL"]) as pool, Servers(config.folder, settings) as servers:
        try:
            start(servers, config, pool)
            servers.watch()
        finally:
            end_nights(servers, pool)


def end_nights(servers: Servers, pool: Pool) -> None:
    """End the worker with its nights first, while Prefect can still be told."""
    hold_signals()
    servers.stop("worker")
    with suppress(ServerError):  # Prefect itself may have ended; the next start does it, too
        pool.bury(str(servers.root))


def start(servers: Servers, config: UpConfig, pool: Pool) -> None:
    """Start all in the order in which they need each other, and say where they are."""
    start_mlflow(servers, config)
    port = str(config.prefect_port)
    servers.start("prefect", *PREFECT, "server", "start", "--host", config.host, "--port", port)
    health = f"{config.prefect_address}/api/health"
    servers.wait_until(f"Prefect at {health}", lambda: servers.answers(health))
    pool.bury(str(config.folder))
    pool.create()
    servers.run("deploy", *PREFECT, "deploy", "--all")
    since = datetime.now(UTC)
    servers.start("worker", *PREFECT, "worker", "start", "--pool", POOL, "--name", POOL)
    servers.wait_until("the worker to call in", lambda: pool.has_worker(since))
    health = f"{config.mlflow_address}/health"
    servers.wait_until(f"MLflow at {health}", lambda: servers.answers(health))
    said = {"prefect": config.prefect_address, "mlflow": config.mlflow_address}
    said |= {"flows": ", ".join(pool.deployments()), "logs": str(servers.root / "logs")}
    if databases := elsewhere(servers.environment):
        said["database"] = ", ".join(databases)
    show("up; Ctrl-C stops all of it", said)


def start_mlflow(servers: Servers, config: UpConfig) -> None:
    """Start MLflow's server; its database is in the environment, where no password can be seen.

    New experiments keep their files where a night without a server keeps them, as file: addresses
    that both understand. What a server proxies (mlflow-artifacts:) cannot be read without one.
    """
    artifacts = (servers.root / "mlflow-artifacts").as_uri()
    where = ("--host", config.host, "--port", str(config.mlflow_port), "--workers", "1")
    servers.start("mlflow", "flows.mlflow_server", *where, "--default-artifact-root", artifacts)


def environment(config: UpConfig) -> dict[str, str]:
    """Return what the servers are told: nothing that points to another Prefect or MLflow."""
    given = os.environ
    inherited = {
        name: value
        for name, value in given.items()
        if not name.startswith("PREFECT_") and name != "MLFLOW_TRACKING_URI"
    }
    prefect_home = config.folder / "prefect"
    databases = {
        PREFECT_DATABASE: config.prefect_database
        or given.get(PREFECT_DATABASE)
        or sqlite_address(prefect_home / "prefect.db", "aiosqlite"),
        MLFLOW_DATABASE: config.mlflow_database
        or given.get(MLFLOW_DATABASE)
        or sqlite_address(config.folder / "mlflow.db"),
    }
    check_driver(databases[MLFLOW_DATABASE])
    return {
        **inherited,
        **{name: given[name] for name in ENVIRONMENT},
        **databases,
        # prefect.yaml makes them parameters of the deployments: seen in Prefect's pages, the same
        # for scheduled runs and those started by hand, and each run may still be given others
        "GRAIL_ROOT": str(config.folder),
        "GRAIL_MLFLOW": config.mlflow_address,
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_API_URL": f"{config.prefect_address}/api",
        "PREFECT_SERVER_UI_API_URL": f"{config.prefect_address}/api",  # else port 4200, always
        "PREFECT_WORKER_QUERY_SECONDS": "3",  # a run asked for by hand starts soon
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else ten processes for what nobody uses
    }


def check_driver(database: str) -> None:
    """SettingError if MLflow cannot talk to its database for want of a package."""
    driver = DRIVERS.get(database.partition("://")[0])
    if driver is not None and find_spec(driver) is None:
        package = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]"}[driver]
        raise SettingError(f"mlflow_database: {driver} is not installed: pip install '{package}'")


def elsewhere(environment: Mapping[str, str]) -> list[str]:
    """Return where databases other than SQLite's are, without their passwords."""
    urls = [environment[name] for name in (PREFECT_DATABASE, MLFLOW_DATABASE)]
    return [without_secrets(url) for url in urls if not url.startswith("sqlite")]


def show(what: str, details: dict[str, str]) -> None:
    """Print a line, and a line for each detail."""
    print(what, *(f"  {name:<9}{value}" for name, value in details.items()), sep="\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
