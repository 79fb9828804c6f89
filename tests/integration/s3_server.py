"""A real S3 server on loopback, and what may go wrong with one.

It is moto's, which keeps all in memory. Of two conditional writes at once moto lets both through:
here, one request follows the other. Keys decide who may do what, as their names say; for CARELESS
the server is one that overlooks the condition.
"""

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

REFUSED = {
    "EXPIRED": ("400 Bad Request", "ExpiredToken", "The provided token has expired."),
    "UNKNOWN": ("403 Forbidden", "InvalidAccessKeyId", "The key does not exist in our records."),
    "READER": ("403 Forbidden", "AccessDenied", "Access Denied"),  # of writing only
}
"""What keys of a name are answered."""

SECRET = "s3cr3t-of-nobody"  # noqa: S105


@dataclass(frozen=True)
class S3Server:
    """A server that runs, and what it can be told."""

    address: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to ask it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "WRITER",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_root(self) -> str:
        """Make a bucket of its own, and return a root in it."""
        bucket = f"grail-{uuid4().hex[:12]}"
        self._ask("PUT", f"/{bucket}")
        return f"s3://{bucket}/of us"

    def drop(self, requests: int) -> None:
        """Hang up on the next requests without an answer."""
        self._ask("POST", f"/-/drop/{requests}")

    def asked(self) -> list[tuple[str, str]]:
        """Return method and path of each request since the last call."""
        return [(method, path) for method, path in json.loads(self._ask("GET", "/-/asked"))]

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"{self.address}{path}", method=method)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return bytes(answer.read())


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server in a process of its own, which ends with this one."""
    command = [sys.executable, str(Path(__file__))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield S3Server(process.stdout.readline().strip())
        process.stdin.close()


Start = Callable[[str, list[tuple[str, str]]], Any]


class Front:
    """Answers what is about the server itself, and hands on the rest, one by one."""

    def __init__(self, inner: Callable[[dict[str, Any], Start], Iterable[bytes]]) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._to_drop = 0
        self._asked: list[tuple[str, str]] = []

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/-/"):
            start("200 OK", [])
            return [self._told(path)]
        if self._to_drop > 0:
            self._to_drop -= 1
            raise ConnectionAbortedError
        self._asked.append((method, path))
        found = re.search(r"Credential=(\w+)/", environ.get("HTTP_AUTHORIZATION", ""))
        key = found[1] if found else ""
        if key in REFUSED and (key != "READER" or method not in {"GET", "HEAD"}):
            status, code, words = REFUSED[key]
            start(status, [("Content-Type", "application/xml")])
            text = f"<Error><Code>{code}</Code><Message>{words}</Message></Error>"
            return [] if method == "HEAD" else [text.encode()]
        if key == "CARELESS":
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._lock:
            return list(self._inner(environ, start))

    def _told(self, path: str) -> bytes:
        if path.startswith("/-/drop/"):
            self._to_drop = int(path.rsplit("/", 1)[1])
            return b""
        asked, self._asked = self._asked, []
        return json.dumps(asked).encode()


def main() -> None:
    """Serve until standard input ends."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):  # type: ignore[misc]  # of no types
        def log(self, *_: object) -> None:
            """Say nothing."""

        def connection_dropped(self, *_: object) -> None:
            """Hang up, instead of waiting for the next request."""
            self.close_connection = True

    app = Front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
