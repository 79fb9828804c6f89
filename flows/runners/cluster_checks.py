"""Whether a cluster can do this run's work, asked before there is any: one line if it cannot.

What the workers answer passes between processes that may differ: only builtin types do.
"""

from __future__ import annotations

import platform
import socket
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from packaging.requirements import Requirement
from prefect.client.orchestration import get_client

from flows.commands.remedies import first_line
from schemas.errors import RunnerError
from schemas.paths import is_url
from tasks.artifacts.code_fingerprint import code_hash

PROJECT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "schemas")
PATIENCE = 10.0
"""Seconds that a scheduler or a server may take to answer."""
CODE = "this project's code"
ABSENT = "absent"


def check_answers(address: str) -> None:
    """RunnerError if nothing listens at the address of a cluster."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE).close()
    except OSError as error:
        raise no_answer(address, error) from error


def no_answer(address: str, error: Exception) -> RunnerError:
    """Return the error of a cluster that does not answer."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return RunnerError(
        f"no cluster answers at {address} ({said[:300]}): start it, or leave runner_address out for"
        " a local one"
    )


def api_address() -> str:
    """Return the address of Prefect's server that the workers will report to."""
    with get_client(sync_client=True) as client:
        return str(client.api_url).rstrip("/")


def versions() -> dict[str, str]:
    """Return what this process is made of, by what it is called: Python, packages, our code."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = map(Requirement, [*project["dependencies"], *extras["dask"], *extras["ray"]])
    names = {one.name for one in wanted if one.marker is None or one.marker.evaluate()}
    return {"Python": platform.python_version(), CODE: code_hash(*ROOMS)} | {
        name: installed(name) for name in sorted(names)
    }


def installed(package: str) -> str:
    """Return the version of a package that is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT


def asked_of_worker(api: str, root: str) -> dict[str, str]:
    """Return a worker's ``versions``, and as ``trouble`` what it cannot reach, if anything."""
    return versions() | {"trouble": unreached(api, root)}


def unreached(api: str, root: str) -> str:
    """Say what of a run cannot be reached from this process, and the cure; nothing if all can."""
    if not is_url(root) and not Path(root).is_dir():
        return f"does not see the root {root}: let it be on a shared disk, or a URL"
    try:
        httpx.get(f"{api}/health", timeout=PATIENCE)
    except httpx.HTTPError as error:
        return (
            f"cannot reach Prefect's server at {api} ({first_line(error)}): set PREFECT_API_URL to"
            " one that all machines reach"
        )
    return ""


def check_workers(answers: Mapping[str, dict[str, str] | BaseException]) -> None:
    """RunnerError if there are no workers, or one of them differs from this process."""
    if not answers:
        raise RunnerError("the cluster has no workers: start at least one, or wait for it")
    ours = versions()
    for worker, answer in answers.items():
        if isinstance(answer, BaseException):
            raise RunnerError(
                f"worker {worker} cannot run this project's code ({first_line(answer)}): start it"
                f" where {PROJECT.name} is installed, in the checkout's folder"
            )
        if differing := [name for name in ours if answer.get(name, ABSENT) != ours[name]]:
            told = ", ".join(f"{n} {answer.get(n, ABSENT)} not {ours[n]}" for n in differing)
            raise RunnerError(
                f"worker {worker} differs from this process: {told}. Give both the same checkout,"
                " Python and requirements.lock, and start the worker again"
            )
        if answer["trouble"]:
            raise RunnerError(f"worker {worker} {answer['trouble']}")
