"""A command says which servers it talks to, and ends in one line where Prefect is not there."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.commands.introduce import introduce
from schemas.errors import ServerError
from schemas.tracked_settings import TrackedConfig

WELL = 200
UNAUTHORIZED = 401
NOT_FOUND = 404


@contextmanager
def answering(code: int) -> Iterator[str]:
    """A server that answers everything with a code and no JSON."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(code)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def refusal(api: str) -> str:
    with temporary_settings({PREFECT_API_URL: api}), pytest.raises(ServerError) as caught:
        introduce(TrackedConfig())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_prefect_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{taken.getsockname()[1]}/api"
        said = refusal(f"http://me:pa55@{dead}")
        assert f"Prefect at http://{dead} did not answer as it should: Connection refused." in said
        assert "unset PREFECT_API_URL among Prefect's settings" in said
        monkeypatch.setenv("PREFECT_API_URL", f"http://{dead}")
        assert "unset PREFECT_API_URL for a temporary one" in refusal(f"http://{dead}")


def test_what_is_no_prefect_is_one_line() -> None:
    assert "missing an 'http://'" in refusal("nonsense")
    assert "Invalid port" in refusal("http://127.0.0.1:x/api")
    for code, reason in (
        (WELL, "did not answer as it should"),
        (NOT_FOUND, "404 Not Found"),
        (UNAUTHORIZED, "set PREFECT_API_AUTH_STRING"),
    ):
        with answering(code) as api:
            assert reason in refusal(api)


def test_the_first_lines_say_which_servers_and_no_password(
    prefect_server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:pa55@mlflow.lan/")
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    introduce(TrackedConfig())
    assert capsys.readouterr().err.splitlines() == [
        f"prefect  {prefect_server} (PREFECT_API_URL)",
        "mlflow   https://mlflow.lan/ (MLFLOW_TRACKING_URI)",
    ]
    with temporary_settings({PREFECT_API_URL: None}):
        introduce(TrackedConfig(tracking_uri="http://mlflow.lan"))
    assert capsys.readouterr().err.splitlines() == [
        "prefect  a temporary server",
        "mlflow   http://mlflow.lan",
    ]
