"""One command for all of it: Prefect's server, a worker with all deployments, and MLflow."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from flows.commands.terminal import say
from flows.dev_stack.access_guard import is_loopback, names_of
from flows.dev_stack.credentials import (
    CLIENT_LOGIN,
    FILE,
    SERVER_LOGIN,
    login_of,
    mlflow_login,
    write_shell_file,
)
from flows.dev_stack.deployments import differences, entrypoints
from flows.dev_stack.mlflow_server import MLFLOW_DATABASE
from flows.dev_stack.orphans import kill_orphans
from flows.dev_stack.prefect_api import POOL, Pool
from flows.dev_stack.serve import ALLOWED_HOSTS, MLFLOW_FILES
from flows.dev_stack.servers import Servers, check_port, hold_signals, root_lock, stop_on_signals
from flows.environment import ENVIRONMENT, PREFECT_DATABASE, of_servers
from schemas.addresses import without_secrets
from schemas.errors import ConfigError, ServerError
from schemas.paths import sqlite_address
from schemas.server_settings import UpConfig

PREFECT = ("prefect", "--no-prompt")
A_NIGHT = "prefect deployment run nightly/nightly --watch"
DRIVERS = {
    "postgresql": "psycopg2",
    "postgresql+psycopg2": "psycopg2",
    "postgresql+psycopg": "psycopg",
}


def up(config: UpConfig, night: Mapping[str, Any]) -> None:
    """Start all, wait until told to stop, stop all; ``night`` is told to the deployments."""
    addresses = {"prefect": config.prefect_address, "mlflow": config.mlflow_address}
    stop_on_signals()
    try:
        with root_lock(config.folder, {**addresses, "process": str(os.getpid())}) as other:
            if other is not None:
                show(f"{config.folder} is up already, or starting", other)
                raise SystemExit(1)
            serve(config, night)
    except KeyboardInterrupt:
        show("stopped", {})


def serve(config: UpConfig, night: Mapping[str, Any]) -> None:
    """Run the servers of a root that nobody else serves, until one of them ends or a signal."""
    settings = environment(config)
    if ended := kill_orphans(str(config.folder)):
        show(f"ended {ended} processes that were left of a killed one", {})
    check_port(config.host, config.prefect_port, "prefect_port")
    check_port(config.host, config.mlflow_port, "mlflow_port")
    show(f"starting on {config.folder}; half a minute", {})
    login = settings.get(CLIENT_LOGIN, "")
    with (
        Pool(settings["PREFECT_API_URL"], login) as pool,
        Servers(config.folder, settings) as servers,
    ):
        try:
            start(servers, config, pool, night)
            servers.watch()
        finally:
            end_nights(servers)


def end_nights(servers: Servers) -> None:
    """End the worker with its nights first, while Prefect can still be told."""
    hold_signals()
    servers.stop("worker")
    told = servers.environment
    # Prefect itself may have ended; a new client does not wait for it, and the next start does this
    with suppress(ServerError), Pool(told["PREFECT_API_URL"], told.get(CLIENT_LOGIN, "")) as pool:
        pool.crash_orphaned_runs(str(servers.root))


def start(servers: Servers, config: UpConfig, pool: Pool, night: Mapping[str, Any]) -> None:
    """Start all in the order in which they need each other, and say where they are."""
    serve_module = "flows.dev_stack.serve"
    servers.start("mlflow", serve_module, "mlflow", config.host, str(config.mlflow_port))
    servers.start("prefect", serve_module, "prefect", config.host, str(config.prefect_port))
    health = f"{config.prefect_address}/api/health"
    servers.wait_until(f"Prefect at {health}", lambda: servers.answers(health))
    pool.crash_orphaned_runs(str(config.folder))
    pool.create()
    deploy(servers, pool, night, anew=config.redeploy)
    since = datetime.now(UTC)
    servers.start("worker", *PREFECT, "worker", "start", "--pool", POOL, "--name", POOL)
    servers.wait_until("the worker to call in", lambda: pool.has_worker(since))
    health = f"{config.mlflow_address}/health"
    servers.wait_until(f"MLflow at {health}", lambda: servers.answers(health))
    say_where(servers, config, pool)


def deploy(servers: Servers, pool: Pool, night: Mapping[str, Any], *, anew: bool) -> None:
    """Make the deployments that are not there; of others, set what a start has to set."""
    before = pool.deployments()
    there = set() if anew else {one["name"] for one in before.values()}
    if missing := [name for name in entrypoints() if name not in there]:
        named = [part for name in missing for part in ("--name", name)]
        servers.run("deploy", *PREFECT, "deploy", *named)
    if there or night:
        servers.run("deploy", "flows.dev_stack.deployments", json.dumps(dict(night)))
    for line in differences(before, pool.deployments()):
        show(line, {})


def say_where(servers: Servers, config: UpConfig, pool: Pool) -> None:
    """Say where everything is, and what to type elsewhere to have a night now."""
    said = {"prefect": config.prefect_address, "mlflow": config.mlflow_address}
    if servers.environment.get(CLIENT_LOGIN):
        own = not {SERVER_LOGIN, CLIENT_LOGIN} & os.environ.keys()
        kept = f"what {servers.root / FILE} says" if own else f"what {SERVER_LOGIN} says"
        said["login"] = f"{kept}; a browser asks for it once"
    said |= {"flows": ", ".join(pool.deployments()), "logs": str(servers.root / "logs")}
    if databases := elsewhere(servers.environment):
        said["database"] = ", ".join(databases)
    show("up; Ctrl-C stops all of it", said)
    file = write_shell_file(servers.root, servers.environment, os.environ)
    say("a night at once, from another terminal:", f". {shlex.quote(str(file))}", A_NIGHT)
    sys.stdout.flush()


def environment(config: UpConfig) -> dict[str, str]:
    """Return what the servers are told: what the operator set, but no other Prefect or MLflow."""
    given = os.environ
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
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # of this root alone
        "PREFECT_SERVER_UI_API_URL": "/api",  # of the server that the page came from
        # Else its pages are laid out beside its code, which may be another user's
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(prefect_home / "ui"),
        **of_servers(given),
        **{name: given[name] for name in ENVIRONMENT},
        **databases,
        **logins(config, given),
        # New experiments keep their files where a night without a server keeps them, as file:
        # addresses that both understand. What a server proxies cannot be read without one.
        MLFLOW_FILES: (config.folder / "mlflow-artifacts").as_uri(),
        # prefect.yaml makes them parameters of the deployments: seen in Prefect's pages, the same
        # for scheduled runs and those started by hand, and each run may still be given others
        "GRAIL_ROOT": str(config.folder),
        "GRAIL_MLFLOW": config.mlflow_address,
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_API_URL": f"{config.prefect_address}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "3",  # a run asked for by hand starts soon
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else ten processes for what nobody uses
    }


def logins(config: UpConfig, given: Mapping[str, str]) -> dict[str, str]:
    """Return who may ask the servers, and by which names; ConfigError if everybody could."""
    login = login_of(config.folder, given)
    if not login and not is_loopback(config.host):
        raise ConfigError(
            f"host {config.host}: who reaches this machine could run what they want on it; unset"
            f" {SERVER_LOGIN} and {CLIENT_LOGIN}, or set one of them to user:password"
        )
    names = names_of(config.host, config.allowed_hosts or given.get("MLFLOW_SERVER_ALLOWED_HOSTS"))
    return {
        ALLOWED_HOSTS: names,
        # The door asks for the same and more: in MLflow's own list 10.example.org is this network
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        **({SERVER_LOGIN: login, CLIENT_LOGIN: login} if login else {}),
        **mlflow_login(login, given),
    }


def check_driver(database: str) -> None:
    """ConfigError if MLflow cannot talk to its database for want of a package."""
    driver = DRIVERS.get(database.partition("://")[0])
    if driver is not None and find_spec(driver) is None:
        package = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]"}[driver]
        raise ConfigError(f"mlflow_database: {driver} is not installed: pip install '{package}'")


def elsewhere(environment: Mapping[str, str]) -> list[str]:
    """Return where databases other than SQLite's are, without their passwords."""
    urls = [environment[name] for name in (PREFECT_DATABASE, MLFLOW_DATABASE)]
    return [without_secrets(url) for url in urls if not url.startswith("sqlite")]


def show(what: str, details: dict[str, str]) -> None:
    """Print a line, and a line for each detail."""
    say(what, *(f"  {name:<9}{value}" for name, value in details.items()))
