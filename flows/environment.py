"""The environment: one rule for each variable that reaches Prefect, MLflow, HTTP or their caches.

What a person has set counts, but for what would lead a run astray. ``docs/environment.md`` says it
for people. Nothing is imported here that reads the environment: it is settled before that.
"""

import argparse
import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from flows.commands.terminal import say
from schemas.paths import absolute, is_url, sqlite_address

ENVIRONMENT = {
    # implicit and Polars bring their own threads; a BLAS with threads of its own fights them
    "OPENBLAS_NUM_THREADS": "1",
    # As many tasks at a time as there are cores, else all models would be trained at once
    "PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": str(len(os.sched_getaffinity(0))),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "https://none.invalid",  # else every page's
    # Else each change of a task's state is three statements and a commit of the server's, which a
    # night of short tasks waits for. Its seconds are whole: less than one is none, and it spins
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "tasks",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # the tasks also work without a flow
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that is not there, or says nothing, is an error after half a minute: two questions of
    # 14 s, and no more waits than tasks.artifacts.table_task makes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "14",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "PGCONNECT_TIMEOUT": "14",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": "2",  # for a task that a full machine ended; Ray's own is for ever
    # The two-tower's matrices are too small to be cut: several threads take longer, and how many
    # they are would decide the last bits of its weights
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # two trainings share a GPU
    "KERAS_BACKEND": "tensorflow",
}
"""What holds where a person has set nothing else."""

NOT_OURS = (
    "MLFLOW_REGISTRY_URI",  # the champion is where the runs are
    "MLFLOW_REGISTRY_DIR",
    "MLFLOW_TRACKING_DIR",
    "MLFLOW_RUN_ID",  # a night makes its own runs, experiments and models
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ACTIVE_MODEL_ID",
    "_MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_ENABLE_ASYNC_LOGGING",  # a night is logged when all of it is
)
"""What of MLflow's is meant for other programs: it is taken out, also for what we start."""

ELSEWHERE = (
    "MLFLOW_TRACKING_URI",
    "PREFECT_SERVER_API_AUTH_STRING",  # `up` says who may ask: this login, or one of the root's own
    "PREFECT_SERVER_API_HOST",
    "PREFECT_SERVER_API_PORT",
    "PREFECT_SERVER_API_BASE_PATH",
)
"""What `up` does not hand on to its servers as it is: they are where its flags say."""

PREFECT_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


HARMLESS = (
    "Stochastic Optimizer: Maximum iterations",  # a stacked blend is trained for few epochs
    "__array__ implementation",  # how Keras 3.15 hands NumPy its variables
)
"""Beginnings of warnings that are as they should be.

Where they come from they are silenced, too; but two threads that do so at a time may undo each
other's filters.
"""


def silence_harmless_warnings() -> None:
    """Show no warning that is as it should be."""
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message)


def settle(environment: MutableMapping[str, str], argv: Sequence[str]) -> None:
    """Apply the rule to an environment, of a command with these arguments; twice is as once."""
    for name in NOT_OURS:
        environment.pop(name, None)
    for name, value in ENVIRONMENT.items():
        environment.setdefault(name, value)
    environment["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it may have a password in it
    pass_proxies_by(environment)
    if not can_keep_files(home := environment.get("HOME", os.path.expanduser("~"))):  # noqa: PTH111
        keep_files_in(place_for_files(root_of(argv)), Path(home), environment)


def of_servers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment the servers of `up` get, as the operator set it.

    Of Prefect's those that say how its server works and what is logged, not which server is meant:
    a forgotten one, or a profile, must not lead the worker to another.
    """
    handed = ("PREFECT_SERVER_", "PREFECT_LOGGING_")
    return {
        name: value
        for name, value in environment.items()
        if name not in ELSEWHERE and (not name.startswith("PREFECT_") or name.startswith(handed))
    }


def pass_proxies_by(environment: MutableMapping[str, str]) -> None:
    """Let no proxy be asked for this machine, and none be set that would stop every client.

    httpx fails for all addresses where one proxy is a SOCKS one and the package for that is not
    there.
    """
    # Some read the one and some the other, which may differ
    given = [environment.get(name, "") for name in ("no_proxy", "NO_PROXY")]
    names = [name.strip() for name in ",".join(given).split(",")]
    named = ",".join(dict.fromkeys([*filter(None, names), *LOOPBACK]))
    bypassed = "*" if "*" in names else named  # among others it is no more than a name to some
    environment.update(no_proxy=bypassed, NO_PROXY=bypassed)
    if find_spec("socksio") is not None:
        return
    for name in [name for name in environment if name.lower() in PROXIES]:
        if environment[name].lower().startswith("socks"):
            del environment[name]
            say(f"{name} is not used: SOCKS needs the package socksio", on_stderr=True)


def prefect_database(home: Path) -> dict[str, str]:
    """Return what a server with this home must be told of its database, if it must be told.

    Prefect asks for the path as it is, which SQLAlchemy may read in another way.
    """
    told = sqlite_address(home / "prefect.db", "aiosqlite")
    is_as_it_is = told == f"sqlite+aiosqlite:///{home / 'prefect.db'}"
    return {} if is_as_it_is else {PREFECT_DATABASE: told}


def can_keep_files(home: str) -> bool:
    """Whether a home is there and Prefect's folder in it is, or can be made."""
    folder = Path(home) / ".prefect"
    held = folder if folder.exists() else Path(home)
    return held.is_absolute() and held.is_dir() and os.access(held, os.W_OK | os.X_OK)


def keep_files_in(folder: Path, home: Path, environment: MutableMapping[str, str]) -> None:
    """Keep in a folder what Prefect and others would keep in a home that cannot be written."""
    profiles = home / ".prefect" / "profiles.toml"
    if os.access(profiles, os.R_OK):
        environment.setdefault("PREFECT_PROFILES_PATH", str(profiles))
    places = {
        "PREFECT_HOME": "prefect",
        "MPLCONFIGDIR": "matplotlib",
        "KERAS_HOME": "keras",
        "XDG_CACHE_HOME": "cache",
    }
    for name, place in places.items():
        environment.setdefault(name, str(folder / place))


def place_for_files(root: str) -> Path:
    """Return a folder for the files of a home that is none: hidden under the root, if that can be.

    Otherwise, as for an object store, a private one that goes with this process.
    """
    if not is_url(root):
        with suppress(OSError, ValueError):  # what is wrong with the root, the command will say
            folder = absolute(root) / ".home"
            sqlite_address(folder / "prefect" / "prefect.db")  # not too long?
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return folder
    folder = Path(tempfile.mkdtemp(prefix="grail-home-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def root_of(argv: Sequence[str]) -> str:
    """Return the root among a command's arguments, before anything can read them properly."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--root", default="data")
    try:
        return str(parser.parse_known_args(argv)[0].root)
    except argparse.ArgumentError:  # the command itself will say so
        return "data"
