"""A real `up` for tests: started, asked, told to run a deployment, ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from flows.dev_stack.credentials import CLIENT_LOGIN, FILE, PASSWORD, USER
from flows.dev_stack.orphans import kill_orphans, marked
from flows.dev_stack.prefect_api import Client
from flows.dev_stack.servers import check_port
from tasks.promotion.model_registry import Champion, champion
from tasks.tracking.night_run import reachable

SMALL: dict[str, Any] = {"scale": 0.02, "models": ["random", "popularity"]}
PROJECT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(is_so: Callable[[], object], seconds: float = 400, pause: float = 0.2) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)


def command_of(process: psutil.Process) -> list[str]:
    """Return the words of its command; none of one that has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


class Up:
    """A `python -m flows up` on a root of its own, on ports that were free."""

    def __init__(self, root: Path, *more: str) -> None:
        self.root = root
        self.ports = (free_port(), free_port())
        self.prefect, self.mlflow = (f"http://127.0.0.1:{port}" for port in self.ports)
        self.said = root.parent / f"{root.name}.said"
        self.start(*more)

    def start(self, *more: str, **environment: str) -> None:
        """Start it; once more, on the same root and ports, when it has ended."""
        # What a person may have set must not lead the servers elsewhere
        foreign = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "MLFLOW_TRACKING_URI": "http://x"}
        foreign |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
        foreign |= {"MLFLOW_REGISTRY_URI": "sqlite:////nowhere/mlflow.db"}
        # No night of a clock's in the middle of a test: who is about schedules switches them on
        foreign |= {"GRAIL_SCHEDULED": "false"}
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(*more),
                cwd=PROJECT,
                env={**os.environ, **foreign, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # As a script's `&` does
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
            )

    @property
    def login(self) -> tuple[str, str]:
        """User and password of both servers."""
        user, _, password = (self.root / FILE).read_text().strip().partition(":")
        return user, password

    def as_client(self) -> dict[str, str]:
        """The environment of a person who may ask the servers."""
        user, password = self.login
        prefect = {"PREFECT_API_URL": f"{self.prefect}/api", CLIENT_LOGIN: f"{user}:{password}"}
        return {**os.environ, **prefect, USER: user, PASSWORD: password}

    def command(self, *more: str) -> list[str]:
        ports = ("--prefect-port", str(self.ports[0]), "--mlflow-port", str(self.ports[1]))
        return [sys.executable, "-m", "flows", "up", "--root", str(self.root), *ports, *more]

    def wait_until_up(self) -> None:
        def is_up() -> bool:
            said = self.said.read_text()
            assert self.process.poll() is None, said
            return "Ctrl-C stops all of it" in said

        eventually(is_up)

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=120) == 0

    def kill(self) -> None:
        """End it at once, with all that it started."""
        self.process.kill()
        self.process.wait()
        kill_orphans(str(self.root))

    def is_gone(self) -> bool:
        """No process of it lives, and both ports may be had."""
        if marked(str(self.root)):
            return False
        for port in self.ports:
            check_port("127.0.0.1", port, "port")
        return True

    def named(self, word: str) -> list[psutil.Process]:
        """Its processes with a word in their command."""
        return [process for process in marked(str(self.root)) if word in command_of(process)]

    def made(self, table: str) -> set[Path]:
        """What is there of a table, of whichever world."""
        return set((self.root / table).glob("*"))

    # --- what Prefect's server is asked ----------------------------------------------------

    def request(self, method: str, path: str, body: Any = None) -> Any:
        with Client(f"{self.prefect}/api", auth_string=":".join(self.login)) as client:
            answer = client.request(method, f"/{path}", json=body)
        return answer.json() if answer.content else None

    def ask(self, path: str, **query: Any) -> Any:
        return self.request("POST", path, query)

    def deployment(self, name: str) -> Any:
        (one,) = self.ask("deployments/filter", deployments={"name": {"any_": [name]}})
        return one

    def begin(self, name: str, **parameters: Any) -> str:
        """Ask for a run of a deployment, as its page's button does; return the run's id."""
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        once = str(uuid4())  # however often it must be asked
        return str(self.ask(path, parameters=parameters, idempotency_key=once)["id"])

    def run(self, run_id: str) -> Any:
        return self.request("GET", f"flow_runs/{run_id}")

    def ended(self, run_id: str) -> Any:
        """Wait until a run has ended, however it did, and return it."""
        eventually(lambda: self.run(run_id)["end_time"])
        return self.run(run_id)

    def process_of(self, run_id: str) -> psutil.Process:
        """The process that the worker started for a run."""
        engines = self.named("prefect.engine")
        (one,) = [p for p in engines if p.environ().get("PREFECT__FLOW_RUN_ID") == run_id]
        return one


def deployment_run(
    up: Up, flow_and_deployment: str, *settings: str
) -> "subprocess.CompletedProcess[str]":
    """`prefect deployment run ... --watch`, as a person types it."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deployment", "run"]
    parameters = [part for setting in settings for part in ("--param", setting)]
    return subprocess.run(
        [*command, flow_and_deployment, *parameters, "--watch"],
        cwd=PROJECT,
        env=up.as_client(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def reigning(address: str, name: str) -> Champion | None:
    """A registered model's champion, loaded from its files; ModelError if they are not whole."""
    with reachable(address) as client:
        return champion(client, name)
