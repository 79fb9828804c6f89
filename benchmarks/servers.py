"""A server of MLflow's, started for a measurement and ended after it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.ground import BenchmarkError

BIN = Path(sys.executable).parent
"""Where MLflow finds the programs of its environment, whether that is active or not."""
START_SECONDS = 300


@contextmanager
def serving(
    module: str, *words: str, health: str, log: Path, **environment: str
) -> Iterator[tuple[str, psutil.Popen]]:
    """Run a module's server on a free port, wait until it answers, end all of it after.

    Yields its address and its process; BenchmarkError says what it wrote if it does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as said:
        process = psutil.Popen(
            [sys.executable, "-m", module, *words, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.defpath}", **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_well(process, port, health, log)
        yield f"http://127.0.0.1:{port}", process
    finally:
        for one in (*process.children(recursive=True), process):
            one.kill()
        process.wait()


def _wait_until_well(process: psutil.Popen, port: int, health: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", health)
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.2)  # it does not listen yet
        finally:
            connection.close()
    raise BenchmarkError(f"no answer at port {port}: {log.read_text()[-500:]}")
