"""The parts of `python -m flows up`: processes, ports, locks, databases, flags."""

import json
import os
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from flows.commands.cli import parse_cli
from flows.dev_stack.mlflow_server import MLFLOW_DATABASE, THIS_MACHINE
from flows.dev_stack.orphans import MARK, kill_orphans, marked
from flows.dev_stack.prefect_api import Pool
from flows.dev_stack.servers import Servers, root_lock
from flows.dev_stack.up import check_driver, elsewhere, environment
from flows.environment import PREFECT_DATABASE
from schemas.errors import ConfigError, ServerError
from schemas.server_settings import UpConfig
from tests.integration.up_process import PROJECT, eventually, free_port

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_what_was_left_is_swept_wherever_it_went(tmp_path: Path) -> None:
    """The guard was killed, too: then the next start does it."""
    mark = {**os.environ, MARK: str(tmp_path)}
    nested = f"import subprocess; subprocess.run({SLEEP}, start_new_session=True)"
    with (
        subprocess.Popen([sys.executable, "-c", nested], env=mark),
        subprocess.Popen(SLEEP, env={**mark, MARK: f"{tmp_path}-other"}) as another,
    ):
        eventually(lambda: len(marked(str(tmp_path))) == 2)
        assert kill_orphans(str(tmp_path)) == 2
        assert marked(str(tmp_path)) == []
        assert another.poll() is None
        another.kill()


def test_the_last_lines_are_those_of_this_start(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "json.tool.log").write_text("of yesterday\n")

    def serve() -> None:
        with Servers(tmp_path, os.environ) as servers:
            servers.run("json.tool", "json.tool", "-h")
            servers.start("json.tool", "json.tool", os.devnull)
            servers.watch()

    with pytest.raises(ServerError, match=r"json.tool ended with code 1; .+\n(.|\n)*") as caught:
        serve()
    assert "Expecting value" in str(caught.value)
    assert "usage" not in str(caught.value)
    assert "yesterday" not in str(caught.value)
    assert marked(str(tmp_path)) == []


def test_one_that_never_gets_ready_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="waited 0 s for Godot"), Servers(tmp_path, {}) as servers:
        servers.wait_until("Godot", lambda: False, seconds=0)


def test_a_root_is_held_once_and_free_again(tmp_path: Path) -> None:
    with root_lock(tmp_path, {"prefect": "here"}) as other:
        assert other is None
        with root_lock(tmp_path, {}) as other:
            assert other == {"prefect": "here"}
    with root_lock(tmp_path, {"prefect": "there"}) as other:
        assert other is None
        assert json.loads((tmp_path / "up.lock").read_text()) == {"prefect": "there"}


def test_a_prefect_that_does_not_answer_is_named() -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with Pool(nobody) as pool, pytest.raises(ServerError, match=r"/api.* did not answer: Connect"):
        pool.create()


def test_a_prefect_whose_database_is_locked_is_asked_again() -> None:
    answers = [503, 503, 409]

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(answers.pop(0))

        def do_GET(self) -> None:
            """Have no tokens against requests of other sites, as an old server."""
            self.answer(404)

        def answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Pool(f"http://127.0.0.1:{server.server_port}/api") as pool:
            pool.create()  # 409: it is there
        server.shutdown()
    assert answers == []


def test_postgres_is_two_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.dev_stack.up.find_spec", lambda name: name)
    own = environment(UpConfig(root=str(tmp_path)))
    assert own[PREFECT_DATABASE] == f"sqlite+aiosqlite:///{tmp_path}/prefect/prefect.db"
    assert own[MLFLOW_DATABASE] == f"sqlite:///{tmp_path}/mlflow.db"
    assert elsewhere(own) == []
    monkeypatch.setenv(PREFECT_DATABASE, "postgresql+asyncpg://me:secret@db/prefect")
    monkeypatch.setenv(MLFLOW_DATABASE, "postgresql://me:secret@db/forgotten")
    given = UpConfig(root=str(tmp_path), mlflow_database="postgresql://me:secret@db/mlflow")
    assert elsewhere(environment(given)) == [
        "postgresql+asyncpg://db/prefect",
        "postgresql://db/mlflow",
    ]


def test_what_the_operator_set_is_honoured_unless_it_leads_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honoured = {
        "PREFECT_SERVER_API_AUTH_STRING": "me:secret",
        "PREFECT_SERVER_LOGGING_LEVEL": "DEBUG",
        "PREFECT_SERVER_UI_API_URL": "https://grail.lan/api",
    }
    foreign = {
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_API_KEY": "of another server",
        "PREFECT_PROFILE": "another",
        "PREFECT_SERVER_API_BASE_PATH": "/elsewhere",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    for name, value in (honoured | foreign).items():
        monkeypatch.setenv(name, value)
    told = environment(UpConfig(root=str(tmp_path)))
    assert honoured.items() <= told.items()
    assert not foreign.items() & told.items()
    assert told["PREFECT_API_AUTH_STRING"] == "me:secret"
    assert (told["MLFLOW_TRACKING_USERNAME"], told["MLFLOW_TRACKING_PASSWORD"]) == ("me", "secret")


def test_nobody_listens_to_all_without_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "")
    here = environment(UpConfig(root=str(tmp_path)))
    assert not {"PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"} & here.keys()
    command = [
        sys.executable,
        "-m",
        "flows",
        "up",
        "--root",
        str(tmp_path),
        "--host",
        "0.0.0.0",  # noqa: S104
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "host 0.0.0.0: who reaches this machine could run what they want" in done.stderr


def test_no_page_may_ask_the_server_of_a_night_without_one(prefect_server: str) -> None:
    evil = {"Origin": "http://evil.example"}
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    asked = httpx.options(f"{prefect_server}/flows/", headers=evil | asks)
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
    simple = evil | {"Content-Type": "text/plain"}  # of which a browser does not ask first
    sent = httpx.post(f"{prefect_server}/flows/", headers=simple, content='{"name": "evil"}')
    assert sent.status_code == 422


def test_no_name_of_another_site_leads_to_make_mlflow() -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    allowed = THIS_MACHINE.split(",")
    hosts = ("localhost:5000", "127.0.0.1:5000", "evil.example:5000", "10.evil.example:5000")
    assert [is_allowed_host_header(allowed, host) for host in hosts] == [True, True, False, False]


@pytest.mark.parametrize(
    ("words", "said"),
    {
        "": "--",
        "ROOT=a SOURCE=~/KuaiRec.zip": "--root a -- --source ~/KuaiRec.zip",
        "SCALE=1 SEED=3": "-- --scale 1 --seed 3",
        "UP=--redeploy NIGHT=--top-n=5": "--redeploy -- --top-n=5",
    }.items(),
)
def test_make_up_hands_flags_on(words: str, said: str) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    shown = subprocess.run(
        ["make", "--dry-run", "up", *words.split()],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = shlex.split(shown.splitlines()[-1])
    assert " ".join(command).endswith(said)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.dev_stack.up.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="psycopg2 is not installed: pip install 'psycopg2-bin"):
        check_driver("postgresql://db/mlflow")


@pytest.mark.parametrize(
    ("argv", "reason"),
    {
        "--root s3://grail": "root must be a folder of this machine",
        "--prefect-port 5000": "prefect_port and mlflow_port must differ",
        "--mlflow-port 70000": "mlflow_port: ",
        "--prefect-database postgresql://db/x": "prefect_database: ",
    }.items(),
)
def test_a_wrong_flag_is_refused_in_one_line(
    argv: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_cli(UpConfig, "up", argv.split())
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert said.count("\n") == 1
    assert reason in said


def test_addresses_are_those_that_this_machine_reaches() -> None:
    everywhere = "0.0.0.0"  # noqa: S104
    assert UpConfig().prefect_address == "http://127.0.0.1:4200"
    assert UpConfig(host=everywhere).mlflow_address == "http://127.0.0.1:5000"
    assert UpConfig(host="::").mlflow_address == "http://[::1]:5000"
    assert UpConfig(host="grail.lan").mlflow_address == "http://grail.lan:5000"
