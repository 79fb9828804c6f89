"""What comes of an MLflow that is not there, says nothing, refuses, or is not to blame."""

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy.exc

from flows.environment import ENVIRONMENT
from schemas.errors import TrackingError, UnreachableError
from tasks.tracking.client import tracking_error
from tasks.tracking.night_run import reachable
from tests.integration.up_process import free_port

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn a lot
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def silent() -> Iterator[str]:
    """Accepts every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def answering(status: int) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "3600")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def overloaded() -> Iterator[str]:
    yield from answering(503)


@pytest.fixture
def refusing() -> Iterator[str]:
    yield from answering(403)


@pytest.fixture(autouse=True)
def nothing_else_said(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What is raised as one line is not logged as well."""
    yield
    assert caplog.messages == []


def asked(address: str) -> TrackingError:
    """Ask MLflow for its experiments and return the error in place of an answer."""
    with pytest.raises(TrackingError) as caught, reachable(address) as client:
        client.search_experiments()
    assert "\n" not in str(caught.value)
    assert address in str(caught.value)
    return caught.value


def test_one_that_is_not_there_may_be_there_soon() -> None:
    error = asked(f"http://127.0.0.1:{free_port()}")
    assert type(error) is UnreachableError
    assert "Connection refused" in str(error)


def test_one_that_says_nothing_is_not_asked_again_and_again(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    error = asked(silent)
    assert type(error) is TrackingError
    assert "it said nothing within MLFLOW_HTTP_REQUEST_TIMEOUT" in str(error)


def test_one_that_has_too_much_to_do_is_not_waited_for_as_long_as_it_says(overloaded: str) -> None:
    assert type(asked(overloaded)) is UnreachableError


def test_a_refusal_stays_one(refusing: str) -> None:
    assert type(asked(refusing)) is TrackingError


def test_an_unknown_address_stays_one() -> None:
    assert type(asked("gopher://mlflow")) is TrackingError


def test_a_wrong_question_is_not_put_again(tmp_path: Path) -> None:
    with (
        pytest.raises(TrackingError, match="no-such-run") as caught,
        reachable(f"sqlite:///{tmp_path / 'mlflow.db'}") as client,
    ):
        client.get_run("no-such-run")
    assert type(caught.value) is TrackingError


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield


def test_a_database_that_gets_locked_later_is_one_line_and_worth_another_try(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """MLflow waits 20 s by itself and then logs sixty lines."""
    file = tmp_path / "mlflow.db"
    with (
        pytest.raises(UnreachableError, match=r"database is locked\. Mend that, or") as caught,
        reachable(f"sqlite:///{file}") as client,
        locked(file),
    ):
        client.create_experiment("of nobody")
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a picture of nothing"),
        OSError(28, "No space left on device"),
        ZeroDivisionError("of a mean"),
        ModuleNotFoundError("No module named 'tasks.gone'", name="tasks.gone"),
    ],
)
def test_what_is_not_about_mlflow_passes_as_it_is(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(type(error)) as caught,
        reachable(f"sqlite:///{tmp_path / 'mlflow.db'}"),
    ):
        raise error
    assert caught.value is error


def test_a_missing_driver_is_named_and_no_password() -> None:
    with (
        pytest.raises(TrackingError) as caught,
        reachable("postgresql://me:secret@127.0.0.1/mlflow"),
    ):
        pytest.fail("there is a driver of Postgres here, though the lock file has none")
    assert str(caught.value) == (
        "MLflow's database at postgresql://127.0.0.1/mlflow needs a driver: pip install"
        " 'psycopg2-binary'"
    )


def test_a_database_server_that_is_not_there_may_be_there_soon() -> None:
    for words, kind in {
        'connection to server at "db" failed: Connection refused': UnreachableError,
        'connection to server at "db" failed: timeout expired': TrackingError,  # waited for, once
    }.items():
        away = sqlalchemy.exc.OperationalError("SELECT 1", {}, OSError(words))
        assert type(tracking_error("postgresql://db/mlflow", away)) is kind


def test_no_password_is_in_what_is_said() -> None:
    with (
        pytest.raises(UnreachableError) as caught,
        reachable(f"http://me:secret@127.0.0.1:{free_port()}") as client,
    ):
        client.search_experiments()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_command_ends_within_half_a_minute(is_there: bool, silent: str) -> None:
    """The limits that people have who set none; MLflow's own are 281 s and 1,248 s."""
    address = silent if is_there else f"http://127.0.0.1:{free_port()}"
    own = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "flows", "rollback", "--tracking-uri", address],
        cwd=PROJECT,
        env=own,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert time.monotonic() - begun < 120  # 28 s, and to import MLflow on a busy machine
    assert address in done.stderr.splitlines()[-1]
