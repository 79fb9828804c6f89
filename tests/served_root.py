"""A root with nights on servers of its own, and commands that work on it, at once and alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flows import COMMAND
from tests.lasting_server import (
    PROJECT,
    START_SECONDS,
    mlflow_server,
    path_of_python,
    prefect_server,
)
from tests.runs_left import runs_by_day

LIMIT_SECONDS = 900.0
"""After which a command is said to hang."""


@dataclass(frozen=True)
class Ended:
    """How a command has ended, and what it has said."""

    words: Sequence[str]
    code: int | None
    """None where it had to be ended."""
    said: str

    @property
    def wrong(self) -> str:
        """What it should not have done; nothing if it has ended well, or in one line."""
        told = [one for one in self.said.splitlines() if one.startswith(f"{COMMAND} ")]
        name = " ".join(self.words)
        if self.code is None:
            return f"{name} did not end within {LIMIT_SECONDS:.0f} s: {self.said[-500:]}"
        if "Traceback" in self.said:
            return f"{name} shows a traceback: {self.said[-3000:]}"
        if self.code and (self.code != 1 or told != self.said.splitlines()[-1:]):
            return f"{name} ended with {self.code}: {self.said[-1500:]}"
        if told and "a fault of Grail's" in told[0]:
            return f"{name} says no cure: {told[0]}"
        return ""


class ServedRoot:
    """A root, and the two servers; all of it is in a folder that can be set back."""

    def __init__(
        self, folder: Path, older: Sequence[Sequence[str]], undisturbed: Sequence[Sequence[str]]
    ) -> None:
        """Make the root with its older nights, and play undisturbed what is disturbed later."""
        self._here, self._before = folder / "here", folder / "before"
        self.root = self._here / "root"
        for one in (self.root, self._here / "prefect"):
            one.mkdir(parents=True)
        self.prefect = prefect_server(self._here / "prefect")
        self.mlflow = mlflow_server(self.root, self._here / "mlflow.log")
        with self.mlflow, self.prefect:
            self.must_end_well(*older)
        shutil.copytree(self._here, self._before)
        with self.mlflow, self.prefect:
            self.must_end_well(*undisturbed)
            self.wanted = runs_by_day(self.root, self.mlflow.address)

    def set_back(self) -> None:
        """Let it be as it was before the undisturbed nights."""
        shutil.rmtree(self._here)
        shutil.copytree(self._before, self._here)

    def must_end_well(self, *commands: Sequence[str]) -> None:
        """Run commands one after another; AssertionError if one fails."""
        for one in commands:
            (ended,) = self.at_once([one])
            assert ended.code == 0, ended

    def at_once(self, commands: Sequence[Sequence[str]], begins: int = 1) -> list[Ended]:
        """Run commands at the same time, and return all their endings when all have ended.

        One that does not end well is begun again, when both servers answer, until it has been begun
        so often.
        """

        def endings(words: Sequence[str]) -> list[Ended]:
            ended: list[Ended] = []
            while len(ended) < begins and not (ended and ended[-1].code == 0):
                self._wait_for_servers()
                ended.append(self.ending(words))
            return ended

        with ThreadPoolExecutor(len(commands)) as threads:
            return [one for its in threads.map(endings, commands) for one in its]

    def _wait_for_servers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not (
            self.prefect.answers() and self.mlflow.answers()
        ):
            time.sleep(0.2)

    def ending(self, words: Sequence[str]) -> Ended:
        """Run a command to its end."""
        with tempfile.TemporaryFile() as said:
            process = self._start(words, said)
            code = code_of(process)
            said.seek(0)
            return Ended(words, code, said.read().decode(errors="replace"))

    def _start(self, words: Sequence[str], said: Any) -> subprocess.Popen[bytes]:
        places = ("--root", str(self.root), "--tracking-uri", self.mlflow.address)
        api = {"PREFECT_API_URL": f"{self.prefect.address}/api"}
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *words, *places],
            cwd=PROJECT,
            env={**os.environ, "PATH": path_of_python(), **api},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def shown_as_running(self) -> int:
        """Count the flow runs that Prefect shows as running."""
        asked = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        address = f"{self.prefect.address}/api/flow_runs/count"
        return int(httpx.post(address, json=asked, timeout=60, trust_env=False).json())


def code_of(process: subprocess.Popen[bytes]) -> int | None:
    """Wait for a command; end it, and return None, where that takes too long."""
    try:
        return process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None
