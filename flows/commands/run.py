"""Runs a flow as a command: its server first, then imports, the flow, and what it says."""

import importlib
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from prefect import Flow
from prefect.context import refresh_global_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
)

from flows.commands.failures import log_folder, shorten_console
from flows.commands.introduce import introduce
from flows.commands.temporary_server import TemporaryServer
from flows.commands.terminal import show
from flows.environment import prefect_database
from flows.runners.packages import check_runner
from schemas.paths import absolute, is_url
from schemas.settings import DataConfig
from schemas.tracked_settings import TrackedConfig
from tasks.reporting.rendering import Printed
from tasks.reporting.summary_file import check_summary

Reported: TypeAlias = tuple[Flow[Any, Any], Callable[[Any], Iterable[Printed]]]
"""A flow, and what is printed of its result."""


def run_flow(load: Callable[[], Reported], config: TrackedConfig) -> None:
    """Run a flow with a server, its own if no other is set, and print the report of its result.

    ``load`` imports it: seconds, in which the server starts.
    """
    check_summary(getattr(config, "summary", None))  # before a server is started
    if isinstance(config, DataConfig):
        check_runner(config)
    if isinstance(config, DataConfig) and is_url(config.root):
        from tasks.artifacts.store import Store

        Store(config.root).check_access(is_patient=False)
    introduce(config)
    server = None if PREFECT_API_URL.value() else start_server(config)
    flow, report = load()
    import_tracking()
    shorten_console()
    if server is not None:
        server.wait(PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value())
    show(report(flow(**config.model_dump())))


def start_server(config: TrackedConfig) -> TemporaryServer:
    """Start a temporary server, for this process and all that it starts."""
    if isinstance(config, DataConfig) and not is_url(config.root):
        with suppress(OSError):  # the store will say so
            absolute(config.root).mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    folder = log_folder(config.root)
    log = folder / "temporary-server.log" if folder else Path(os.devnull)
    database = prefect_database(PREFECT_HOME.value())
    server = TemporaryServer({**database, **os.environ, **settings}, log)
    logging.getLogger("prefect.flow_runs").addFilter(_shows_no_page)  # it has none
    os.environ["PREFECT_API_URL"] = f"{server.address}/api"
    refresh_global_settings_context()
    return server


def _shows_no_page(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("View at ")


def import_tracking() -> None:
    """Import what asks MLflow; nothing else may be imported meanwhile.

    MLflow's store configures every SQLAlchemy mapper of the process, also those that another
    thread is still defining.
    """
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    importlib.import_module("tasks.tracking.night_run")
