"""`python -m flows.up`: real servers that start, work, end, and leave nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from flows.leftovers import MARK, marked, sweep
from flows.parameters import flags
from flows.pool import Pool
from flows.servers import Servers, check_port, only_one
from flows.up import MLFLOW_DATABASE, PREFECT_DATABASE, check_driver, elsewhere, environment
from schemas.config import UpConfig
from schemas.errors import ServerError, SettingError

PROJECT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(is_so: Callable[[], object], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


class Up:
    """A `python -m flows.up` on a root of its own, on ports that were free."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = (free_port(), free_port())
        self.prefect, self.mlflow = (f"http://127.0.0.1:{port}" for port in self.ports)
        self.said = root.parent / f"{root.name}.said"
        # What a person may have set must not lead the servers elsewhere
        foreign = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "MLFLOW_TRACKING_URI": "http://x"}
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=PROJECT,
                env={**os.environ, **foreign},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # As a script's `&` does
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
            )

    def command(self, *more: str) -> list[str]:
        ports = ("--prefect-port", str(self.ports[0]), "--mlflow-port", str(self.ports[1]))
        return [sys.executable, "-m", "flows.up", "--root", str(self.root), *ports, *more]

    def wait_for(self, line: str) -> None:
        def is_there() -> bool:
            said = self.said.read_text()
            assert line in said or self.process.poll() is None, said
            return line in said

        eventually(is_there)

    def ask(self, path: str, **query: Any) -> Any:
        return httpx.post(f"{self.prefect}/api/{path}", json=query).raise_for_status().json()

    def nightly(self) -> Any:
        """The deployment that this is about."""
        (one,) = self.ask("deployments/filter", deployments={"name": {"any_": ["nightly"]}})
        return one

    def is_gone(self) -> bool:
        """No process of it lives, and both ports may be had."""
        if marked(str(self.root)):
            return False
        for port in self.ports:
            check_port("127.0.0.1", port, "port")
        return True


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """All of it, up; the last test of it stops it."""
    one = Up(tmp_path_factory.mktemp("up") / "the root")  # a blank in it is a person's right
    try:
        one.wait_for("Ctrl-C stops all of it")
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        sweep(str(one.root))


def deployment_run(up: Up, *settings: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deployment", "run"]
    parameters = [part for setting in settings for part in ("--param", setting)]
    return subprocess.run(
        [*command, "nightly/nightly", *parameters, "--watch"],
        cwd=PROJECT,
        env={**os.environ, "PREFECT_API_URL": f"{up.prefect}/api"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_both_servers_the_worker_and_the_deployments_are_there(up: Up) -> None:
    assert httpx.get(f"{up.prefect}/api/health").is_success
    assert httpx.get(f"{up.mlflow}/health").is_success
    assert f"prefect  {up.prefect}\n" in up.said.read_text()
    assert f"mlflow   {up.mlflow}\n" in up.said.read_text()
    (worker,) = up.ask("work_pools/grail/workers/filter")
    assert worker["status"] == "ONLINE"
    assert up.nightly()["parameters"] == {"root": str(up.root), "tracking_uri": up.mlflow}
    pages = httpx.get(f"{up.prefect}/ui-settings").json()
    assert pages["api_url"] == f"{up.prefect}/api"
    assert all((up.root / "logs" / f"{n}.log").exists() for n in ("prefect", "mlflow", "worker"))


def test_a_lost_night_is_buried_so_that_the_next_can_start(up: Up) -> None:
    lost = [
        up.ask(
            f"deployments/{up.nightly()['id']}/create_flow_run",
            state={"type": "PENDING"},
            parameters={"root": root},
        )["id"]
        for root in (str(up.root), "another")
    ]
    up.ask(f"flow_runs/{lost[0]}/set_state", state={"type": "RUNNING"})
    with Pool(f"{up.prefect}/api") as pool:
        assert pool.bury(str(up.root)) == 1
    found = up.ask("flow_runs/filter", flow_runs={"id": {"any_": lost}})
    assert {run["id"]: run["state_type"] for run in found} == {
        lost[0]: "CRASHED",
        lost[1]: "PENDING",
    }
    up.ask(f"flow_runs/{lost[1]}/set_state", state={"type": "CANCELLED"}, force=True)


def test_a_night_goes_into_the_root_and_into_mlflow(up: Up) -> None:
    done = deployment_run(up, "scale=0.02", 'models=["random","popularity"]')
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((up.root / "lists" / "top_n").glob("*/data.parquet"))
    api = f"{up.mlflow}/api/2.0/mlflow"
    experiment = httpx.get(
        f"{api}/experiments/get-by-name", params={"experiment_name": "grail-demo"}
    ).json()["experiment"]
    files = f"{(up.root / 'mlflow-artifacts').as_uri()}/{experiment['experiment_id']}"
    assert experiment["artifact_location"] == files  # which a night without a server reads, too
    query = {"experiment_ids": [experiment["experiment_id"]]}
    runs = httpx.post(f"{api}/runs/search", json=query).json()["runs"]
    ids = {run["info"]["run_name"].split()[-1]: run["info"]["run_id"] for run in runs}
    assert {"random", "popularity"} < ids.keys()
    of_night = {"run_id": ids["seed=42)"]}
    shown = httpx.get(f"{api}/artifacts/list", params=of_night).json()["files"]
    assert "slices.png" in {file["path"] for file in shown}


def test_a_wrong_parameter_is_refused_at_once(up: Up) -> None:
    done = deployment_run(up, "models=nobody")
    assert done.returncode != 0
    assert "'nobody' is not of type 'array'" in done.stdout


def test_the_nights_to_come_are_scheduled_with_the_same_parameters(up: Up) -> None:
    """A server that silently never schedules (SQLAlchemy 2.1) has been seen."""
    query = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    eventually(lambda: up.ask("flow_runs/filter", **query))
    runs = up.ask("flow_runs/filter", **query)
    # 03:30 in Shanghai is 19:30 UTC the day before
    assert {run["expected_start_time"][11:16] for run in runs} == {"19:30"}
    assert {run["parameters"]["tracking_uri"] for run in runs} == {up.mlflow}


def test_deployed_by_hand_a_night_has_its_own_defaults(up: Up) -> None:
    """What only `up` sets must not become an empty text where somebody else deploys."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=PROJECT,
        env={**os.environ, "PREFECT_API_URL": f"{up.prefect}/api", "PWD": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert up.nightly()["parameters"] == {}


def test_a_second_up_says_where_the_first_is(up: Up) -> None:
    second = subprocess.run(up.command(), cwd=PROJECT, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert f"{up.root} is up already" in second.stdout
    assert up.prefect in second.stdout
    assert up.mlflow in second.stdout
    assert up.process.poll() is None


def test_a_taken_port_is_named_with_the_flag_to_change_it(up: Up, tmp_path: Path) -> None:
    command = [part if part != str(up.root) else str(tmp_path) for part in up.command()]
    other = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert other.returncode == 1
    assert other.stderr.count("\n") == 1
    assert f"127.0.0.1:{up.ports[0]} cannot be used" in other.stderr
    assert "--prefect-port" in other.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_ctrl_c_ends_all_of_it(up: Up) -> None:
    os.kill(up.process.pid, signal.SIGINT)
    assert up.process.wait(timeout=120) == 0
    assert up.said.read_text().endswith("stopped\n")
    assert up.is_gone()


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Up]:
    """One that has only begun to start."""
    one = Up(tmp_path / "root")
    try:
        eventually(lambda: named(one, "prefect"))
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        sweep(str(one.root))


def named(up: Up, word: str) -> list[psutil.Process]:
    """Its processes with a word in their command."""
    shown = [(p, p.as_dict(["cmdline"])["cmdline"]) for p in marked(str(up.root))]
    return [p for p, command in shown if word in command]


def test_kill_9_leaves_no_orphan(begun: Up) -> None:
    eventually(lambda: named(begun, "uvicorn"))  # MLflow's: a child's child
    begun.process.kill()
    eventually(lambda: not marked(str(begun.root)), seconds=20)
    assert begun.is_gone()


def test_a_server_that_dies_is_named_and_the_others_end(begun: Up) -> None:
    (prefect,) = named(begun, "prefect")
    prefect.kill()
    assert begun.process.wait(timeout=60) == 1
    assert "prefect was killed by signal 9; " in begun.said.read_text()
    assert begun.is_gone()


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
        assert sweep(str(tmp_path)) == 2
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
    with only_one(tmp_path, {"prefect": "here"}) as other:
        assert other is None
        with only_one(tmp_path, {}) as other:
            assert other == {"prefect": "here"}
    with only_one(tmp_path, {"prefect": "there"}) as other:
        assert other is None
        assert json.loads((tmp_path / "up.lock").read_text()) == {"prefect": "there"}


def test_a_prefect_that_does_not_answer_is_named() -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with Pool(nobody) as pool, pytest.raises(ServerError, match=r"/api.* did not answer: Connect"):
        pool.create()


def test_postgres_is_two_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.up.find_spec", lambda name: name)
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


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.up.find_spec", lambda _: None)
    with pytest.raises(SettingError, match="psycopg2 is not installed: pip install 'psycopg2-bin"):
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
        flags(UpConfig, "up", argv.split())
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
