"""A server of a process group of its own, killed and started again, its port kept meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Self

import httpx
import numpy as np

import flows  # noqa: F401  # settles the environment before anything is imported
from flows.environment import PREFECT_DATABASE
from schemas.paths import sqlite_address

PROJECT = Path(__file__).parents[1]
START_SECONDS = 240.0
"""In which a server answers that was started, on however busy a machine."""
UP_SECONDS, AWAY_SECONDS = (10.0, 40.0), (0.0, 20.0)
"""How long one is up before it is killed, and away then: at least and at most."""


class LastingServer:
    """A server on a port of the system's choice, which nobody else gets while it is down."""

    def __init__(self, *module: str, health: str, log: Path, **environment: str) -> None:
        """Take a port; the module's words are followed by its host and port. Nothing is started."""
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
        self._held.bind(("127.0.0.1", 0))
        port = self._held.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", *module, "--host", "127.0.0.1", "--port", str(port)]
        self._health, self._log, self._environment = health, log, environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it; its port stays its own."""
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers; AssertionError, with its last words, if not."""
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                self._command,
                cwd=PROJECT,
                env={**os.environ, "PATH": path_of_python(), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            is_alive = self._process.poll() is None and time.monotonic() < deadline
            assert is_alive, f"{self.address} does not answer: {self._log.read_text()[-500:]}"
            time.sleep(0.2)

    def kill(self) -> None:
        """End it at once with all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def answers(self) -> bool:
        """Whether it is well."""
        try:
            return httpx.get(self.address + self._health, timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


def path_of_python() -> str:
    """Return a PATH on which MLflow finds the programs of its environment."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def prefect_server(folder: Path) -> LastingServer:
    """Return Prefect's server, with all that it keeps in a folder."""
    return LastingServer(
        *("prefect", "server", "start", "--no-ui"),
        health="/api/health",
        log=folder / "server.log",
        PREFECT_HOME=str(folder),
        **{PREFECT_DATABASE: sqlite_address(folder / "prefect.db", "aiosqlite")},
    )


def mlflow_server(root: Path, log: Path) -> LastingServer:
    """Return MLflow's server on the database of a root, as `make mlflow` starts it."""
    return LastingServer(
        *("flows.dev_stack.mlflow_server", "--workers", "1"),
        *("--artifacts-destination", str(root / "mlartifacts")),
        health="/health",
        log=log,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        GRAIL_ROOT=str(root),
    )


class Killer:
    """Kills a server and starts it again, at moments that are drawn, until it is told to end.

    Once at least.
    """

    def __init__(self, server: LastingServer, draw: np.random.Generator) -> None:
        """Begin."""
        self._server, self._draw = server, draw
        self._is_over = Event()
        self._threads = ThreadPoolExecutor(1)
        self._kills = self._threads.submit(self._kill_and_start)

    def end(self) -> int:
        """Let the server be, which is up then; return how often it was killed."""
        self._is_over.set()
        self._threads.shutdown()
        return self._kills.result()

    def _kill_and_start(self) -> int:
        kills = 0
        while not self._is_over.wait(self._draw.uniform(*UP_SECONDS)) or not kills:
            self._server.kill()
            kills += 1
            self._is_over.wait(self._draw.uniform(*AWAY_SECONDS))
            self._server.start()
        return kills
