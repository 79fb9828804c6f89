"""Processes that live and end together: started, waited for, watched, stopped."""

import fcntl
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import httpx
import psutil

from flows.dev_stack.orphans import MARK, kill_orphans
from schemas.errors import ServerError

PROJECT = Path(__file__).parents[2]
PATIENCE = 15
"""Seconds a process has to end by itself before it is killed."""
LAST_LINES = 15


@dataclass(frozen=True)
class Running:
    """A process, where it logs, where in that file its own lines begin, and if it may end."""

    process: "subprocess.Popen[bytes]"
    log: Path
    begins: int
    stays: bool

    def last_lines(self) -> str:
        """Return the end of what it logged, indented."""
        text = self.log.read_bytes()[self.begins :].decode(errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-LAST_LINES:])


class Servers:
    """The processes of one root. Leaving the ``with`` ends them, the last one first."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        """Start nothing yet: that is for the ``with`` and ``start``."""
        self.root = root
        self.environment = {**environment, MARK: str(root), "PWD": str(PROJECT)}
        self._running: dict[str, Running] = {}
        self._web = httpx.Client(timeout=5, trust_env=False)  # by no proxy

    def __enter__(self) -> Self:
        """Make the folder of logs; start the guard that outlives a kill -9 of this process."""
        (self.root / "logs").mkdir(parents=True, exist_ok=True)
        self._guard = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "flows.dev_stack.orphans", str(self.root)],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        """End all, politely while there is patience."""
        for name in reversed([*self._running]):
            self.stop(name)
        kill_orphans(str(self.root))  # the guard too
        self._guard.communicate()
        self._web.close()

    def start(self, name: str, *command: str, stays: bool = True) -> "subprocess.Popen[bytes]":
        """Start a Python module, by default one that stays; its log is ``logs/<name>.log``."""
        log = self.root / "logs" / f"{name}.log"
        with log.open("ab") as output:
            begins = output.tell()
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *command],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C comes to `up` alone, which stops them in order
            )
        self._running[name] = Running(process, log, begins, stays)
        return process

    def run(self, name: str, *command: str, seconds: float = 300) -> None:
        """Run a Python module to its end; ServerError, with its last lines, if it fails."""
        step = self.start(name, *command, stays=False)
        self.wait_until(f"{name} to end", lambda: step.poll() == 0, seconds)
        del self._running[name]

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float = 300) -> None:
        """Wait for something of theirs; ServerError if it takes too long or one of them ends."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServerError(f"waited {seconds:.0f} s for {what}; see {self.root / 'logs'}")
            time.sleep(0.3)

    def answers(self, url: str) -> bool:
        """Whether a server says that it is well."""
        try:
            return self._web.get(url).is_success
        except httpx.TransportError:
            return False

    def check(self) -> None:
        """ServerError, with its last lines, if one of them has ended."""
        for name, running in self._running.items():
            code = running.process.poll()
            if code or (code == 0 and running.stays):
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                raise ServerError(f"{name} {how}; {running.log} ends:\n{running.last_lines()}")

    def watch(self) -> NoReturn:
        """Wait until one of them ends, or a signal comes."""
        while True:
            self.check()
            time.sleep(0.5)

    def stop(self, name: str) -> None:
        """End a process, if there is one, and all that it started: ask all at once, then kill."""
        if name not in self._running:
            return
        process = self._running.pop(name).process
        tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(process.pid)
            tree = [top, *top.children(recursive=True)]
        for one in tree:
            with suppress(psutil.NoSuchProcess):
                one.terminate()
        for one in psutil.wait_procs(tree, timeout=PATIENCE)[1]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def check_port(host: str, port: int, setting: str) -> None:
    """ServerError if something listens there already, with the flag to choose another."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers will
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"{host}:{port} cannot be used ({error.strerror}): end what listens there, or"
                f" choose another port with --{setting.replace('_', '-')}"
            ) from error


@contextmanager
def root_lock(root: Path, about: Mapping[str, str]) -> Iterator[dict[str, str] | None]:
    """Hold the root for this process; yields None, or what the holder said about itself.

    The system lets go of a lock when its process ends, however it ends, and children do not
    inherit it: a file of process ids could be stale, this cannot.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield json.loads(file.read() or "{}")
            return
        file.truncate(0)
        file.write(json.dumps(about))
        file.flush()
        yield None


STOPS: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> None:
    """Make Ctrl-C, kill and a closed terminal raise KeyboardInterrupt, once.

    Also where a script started this with ``&``, and so with SIGINT ignored: children would inherit
    that, and Prefect's worker then never ends. A signal that is caught here is not ignored there.
    """

    def stop(*_: object) -> None:
        hold_signals()
        raise KeyboardInterrupt

    for name in STOPS:
        if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN:  # nohup
            signal.signal(name, stop)


def hold_signals() -> None:
    """Let nothing interrupt the stopping."""
    for name in STOPS:
        signal.signal(name, signal.SIG_IGN)
