"""A web server that breaks off, stalls, lies and changes its mind, for the tests of downloading."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tasks.sources.download import Patience

CONTENT = hashlib.shake_256(b"KuaiRec").digest(300_000)
QUICK = Patience(attempts=3, stall_s=1.0, first_wait_s=0.01, max_wait_s=0.05)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Site:
    """What the server has, the tricks it plays on the next requests, and what it was asked."""

    url: str
    files: dict[str, bytes]
    etag: str = '"v1"'
    tricks: list[Callable[["Handler"], None]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("range") for request in self.asked]


class Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        self.site.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.site.asked[-1]["path"] = self.path
        (self.site.tricks.pop(0) if self.site.tricks else serve())(self)

    def answer(self, status: int, headers: dict[str, object] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        self.end_headers()

    def rest_of_file(self) -> bytes | None:
        """Send the headers that suit the request, and return the body that should follow."""
        content = self.site.files.get(self.path)
        if content is None:
            self.answer(404)
            return None
        headers: dict[str, object] = {"ETag": self.site.etag} if self.site.etag else {}
        asked = self.headers.get("Range")
        if asked is None or self.headers.get("If-Range", self.site.etag) != self.site.etag:
            self.answer(200, headers | {"Content-Length": len(content)})
            return content
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return None
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        length = len(content) - start
        self.answer(206, headers | {"Content-Range": span, "Content-Length": length})
        return content[start:]


def serve(up_to: int | None = None, *, is_stalling: bool = False) -> Callable[[Handler], None]:
    """Serve as a good server does, but only the first bytes of the body; then hang up or stall."""

    def trick(handler: Handler) -> None:
        body = handler.rest_of_file()
        if body is not None:
            handler.wfile.write(body[:up_to])
        if is_stalling:
            handler.site.is_over.wait(20)

    return trick


def status(code: int, **headers: object) -> Callable[[Handler], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(code, {"Content-Length": 0} | named)


def whole(content: bytes = CONTENT, **headers: object) -> Callable[[Handler], None]:
    """Answer 200 with all of ``content``, whatever was asked for."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def trick(handler: Handler) -> None:
        handler.answer(200, {"Content-Length": len(content)} | named)
        handler.wfile.write(content)

    return trick


def quietly(trick: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """Let the client hang up on the trick."""

    def run(handler: Handler) -> None:
        try:
            trick(handler)
        except ConnectionError:
            handler.close_connection = True

    return run


@contextmanager
def running_site() -> Iterator[Site]:
    """Serve CONTENT as /k.bin on a free port of this machine."""
    handler = type("SiteHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.site = Site(f"http://127.0.0.1:{server.server_port}/k.bin", {"/k.bin": CONTENT})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield handler.site
    finally:
        handler.site.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()
