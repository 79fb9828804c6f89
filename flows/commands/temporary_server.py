"""A Prefect server for one command, where no other is set; it ends with the command.

Prefect would start one by itself, and wait for it: here the command goes on meanwhile. And
Prefect's outlives a command that is killed, while this one reads its stdin, a pipe from the
command, and ends when that does.

As a command, this is the server; its argument is the number of the socket it is to listen at.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

import httpx

from flows.prefect_schema import make_prefect_database
from schemas.errors import ServerError

PROJECT = Path(__file__).parents[2]
PATIENCE = 3
"""Seconds it has to end by itself."""
EPHEMERAL = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    # A note that blocks are registered, which a server that stays would believe
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "0",
}
"""What Prefect tells the temporary servers that it starts itself, and to leave no such note."""

NEEDLESS = {"PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "0"}
"""What no night asks for, and half of a first start, unless a person has set it."""


class TemporaryServer:
    """A server that is starting, at ``address``; it is ended when this process ends."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Start it, and do not wait for it."""
        self._log = log
        with socket.socket() as listener, log.open("ab") as output:
            listener.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "flows.commands.temporary_server", str(listener.fileno())],
                cwd=PROJECT,
                env={**NEEDLESS, **environment, **EPHEMERAL},
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        atexit.register(self.stop)  # Prefect's own threads still send to it when the flow has ended

    def wait(self, seconds: float) -> None:
        """Wait until it answers; ServerError if it ends before, or not in time."""
        deadline = time.monotonic() + seconds
        with httpx.Client(base_url=self.address, trust_env=False, timeout=5) as client:
            while not _is_well(client):
                if self._process.poll() is not None:
                    raise ServerError(f"Prefect's temporary server did not start: {self._end()}")
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"Prefect's temporary server did not start in {seconds:.0f} s: give it"
                        " longer with PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
                    )
                time.sleep(0.1)

    def stop(self) -> None:
        """End it, politely while there is patience."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end(self) -> str:
        """Return the last line of its log, and where that is."""
        lines = self._log.read_text(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{last} (log: {self._log})"


def _is_well(client: httpx.Client) -> bool:
    try:
        return client.get("/api/health").is_success
    except httpx.TransportError:
        return False


def main() -> None:
    """Serve at the socket of the given number until stdin ends."""
    import uvicorn

    make_prefect_database()
    server = uvicorn.Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            log_level="error",
            lifespan="on",
            timeout_graceful_shutdown=1,  # those who still ask are what is ending
        )
    )

    def end_with_parent() -> None:
        os.read(0, 1)
        server.should_exit = True
        time.sleep(PATIENCE)
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
