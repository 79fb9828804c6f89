"""`python -m flows up`: real servers that start, work, end, and leave nothing behind.

The nights here are of worlds so small that only the way they take matters.
"""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import polars as pl
import pytest
from mlflow import MlflowClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows.dev_stack.credentials import FILE
from flows.dev_stack.orphans import marked
from flows.dev_stack.prefect_api import Pool
from schemas.tables import CONTRACTS
from tasks.artifacts.backend import backend_of
from tasks.promotion.model_registry import set_champion
from tests.integration.callers import INTRUDERS, OPERATOR, Caller, run_a_shell
from tests.integration.up_process import PROJECT, SMALL, Up, deployment_run, eventually, reigning

pytestmark = pytest.mark.filterwarnings("default")  # Prefect, MLflow and what they import warn
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_both_servers_the_worker_and_the_deployments_are_there(up: Up) -> None:
    assert httpx.get(f"{up.prefect}/api/health").is_success
    assert httpx.get(f"{up.mlflow}/health").is_success
    assert f"prefect  {up.prefect}\n" in up.said.read_text()
    assert f"mlflow   {up.mlflow}\n" in up.said.read_text()
    (worker,) = up.ask("work_pools/grail/workers/filter")
    assert worker["status"] == "ONLINE"
    for name in ("backfill", "nightly", "prune", "recommend", "tune"):
        where = {"root": str(up.root), "tracking_uri": up.mlflow}
        work = {} if name in {"prune", "recommend"} else {"source": "demo", "runner": "threads"}
        day = {"as_of": None} if name == "nightly" else {}
        assert up.deployment(name)["parameters"] == where | work | day
    pages = httpx.get(f"{up.prefect}/ui-settings").json()
    assert (pages["api_url"], pages["auth"]) == ("/api", "BASIC")  # its own, by whatever name
    assert set(pages["available_uis"]) == {
        place.name for place in (up.root / "prefect/ui").iterdir()
    }
    assert all((up.root / "logs" / f"{n}.log").exists() for n in ("prefect", "mlflow", "worker"))


# --- who may ask -------------------------------------------------------------------------------


def asked_for(up: Up) -> set[str]:
    """Runs that somebody asked for: Prefect's scheduler makes others, whenever it comes to it."""
    return {run["id"] for run in up.ask("flow_runs/filter") if not run["auto_scheduled"]}


@pytest.mark.parametrize("caller", INTRUDERS.values(), ids=INTRUDERS.keys())
def test_no_page_and_no_user_of_the_machine_can_run_anything(
    up: Up, caller: Caller, tmp_path: Path
) -> None:
    runs = asked_for(up)
    assert set(run_a_shell(up, caller, f"touch {tmp_path}/evil")) <= {401, 403}
    assert asked_for(up) == runs
    assert up.ask("deployments/count") == 5
    made = caller.post(up, up.mlflow, "/api/2.0/mlflow/experiments/create", name="evil")
    assert made.status_code in (401, 403)


def test_the_operator_could_run_a_shell(up: Up, tmp_path: Path) -> None:
    """So the test above refuses what would have worked."""
    assert run_a_shell(up, OPERATOR, f"touch {tmp_path}/done") == [201, 201, 201]
    eventually(lambda: (tmp_path / "done").exists())
    (flow,) = up.ask("flows/filter", flows={"name": {"any_": ["evil"]}})
    up.request("DELETE", f"flows/{flow['id']}")


def test_from_another_machine_the_pages_work_by_the_address_of_this_one(up: Up) -> None:
    elsewhere = Caller("http://192.168.7.7:{port}", "192.168.7.7:{port}", knows_login=True)
    assert elsewhere.post(up, up.prefect, "/api/flows/count").status_code == 200
    runs = elsewhere.post(up, up.mlflow, "/api/2.0/mlflow/runs/search", experiment_ids=["0"])
    assert runs.status_code == 200


def test_no_page_may_read_or_listen(up: Up) -> None:
    evil = {"Origin": "http://evil.example"}
    for server in (up.prefect, up.mlflow):
        asks = {**evil, "Access-Control-Request-Method": "POST"}
        asked = httpx.options(f"{server}/api/flows/", headers=asks)
        assert asked.status_code == 403
        assert "access-control-allow-origin" not in asked.headers
        page = httpx.get(server, auth=up.login, headers={"Accept": "text/html"})
        assert page.headers["content-security-policy"] == "frame-ancestors 'self'"
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"{up.prefect}/api/events/out".replace("http", "ws"), additional_headers=evil)
    assert httpx.get(f"{up.mlflow}/").status_code == 401
    assert httpx.get(f"{up.mlflow}/").headers["www-authenticate"].startswith("Basic ")


def test_the_login_is_nowhere_but_in_its_file(up: Up) -> None:
    """Not in what is printed, nor in a log, nor in a database, nor in a command's words."""
    files = [up.said, *(file for file in up.root.rglob("*") if file.is_file())]
    secret = up.login[1].encode()
    assert [file.name for file in files if secret in file.read_bytes()] == [FILE]
    assert stat.S_IMODE((up.root / FILE).stat().st_mode) == 0o600
    words = [word for process in marked(str(up.root)) for word in process.cmdline()]
    assert not [word for word in words if up.login[1] in word]


def test_a_lost_night_is_buried_so_that_the_next_can_start(up: Up) -> None:
    lost = [
        up.ask(
            f"deployments/{up.deployment('nightly')['id']}/create_flow_run",
            state={"type": "PENDING"},
            parameters={"root": root},
        )["id"]
        for root in (str(up.root), "another")
    ]
    up.ask(f"flow_runs/{lost[0]}/set_state", state={"type": "RUNNING"})
    with Pool(f"{up.prefect}/api", ":".join(up.login)) as pool:
        assert pool.crash_orphaned_runs(str(up.root)) == 1
    assert [up.run(run)["state_type"] for run in lost] == ["CRASHED", "PENDING"]
    up.ask(f"flow_runs/{lost[1]}/set_state", state={"type": "CANCELLED"}, force=True)


# --- deployments -------------------------------------------------------------------------------


def test_the_two_lines_that_are_printed_begin_a_night_which_goes_into_root_and_mlflow(
    up: Up, tmp_path: Path
) -> None:
    *_, environment, night = up.said.read_text().splitlines()
    small = """--param scale=0.02 --param 'models=["random","popularity"]'"""
    done = subprocess.run(
        ["bash", "-c", f"{environment}\n{night} {small}"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((up.root / "serving" / "top_n").glob("*/data.parquet"))
    with httpx.Client(base_url=f"{up.mlflow}/api/2.0/mlflow", auth=up.login) as api:
        named = {"experiment_name": "grail-demo"}
        experiment = api.get("/experiments/get-by-name", params=named).json()["experiment"]
        files = f"{(up.root / 'mlflow-artifacts').as_uri()}/{experiment['experiment_id']}"
        assert experiment["artifact_location"] == files  # which a night without a server reads, too
        query = {"experiment_ids": [experiment["experiment_id"]]}
        runs = api.post("/runs/search", json=query).json()["runs"]
        ids = {run["info"]["run_name"].split()[-1]: run["info"]["run_id"] for run in runs}
        assert {"random", "popularity"} < ids.keys()
        of_night = {"run_id": ids["seed=42)"]}
        shown = api.get("/artifacts/list", params=of_night).json()["files"]
        assert "slices.png" in {file["path"] for file in shown}


def test_a_wrong_parameter_is_refused_at_once(up: Up) -> None:
    done = deployment_run(up, "nightly/nightly", "models=nobody")
    assert done.returncode != 0
    assert "'nobody' is not of type 'array'" in done.stdout
    done = deployment_run(up, "nightly/nightly", "scale=99")
    assert done.returncode != 0
    assert "99 is greater than the maximum of 4" in " ".join(done.stdout.split())
    runs = up.ask("flow_runs/filter", deployments={"name": {"any_": ["nightly"]}})
    assert not [run for run in runs if run["parameters"].get("scale") == 99]


@pytest.fixture(scope="module")
def known_users(up: Up) -> list[int]:
    """Make the first night's model the champion, whatever the gate thinks of so small a world."""
    set_champion(MlflowClient(up.mlflow, up.mlflow), "grail-demo-0.02-42", "1")
    found = reigning(up.mlflow, "grail-demo-0.02-42")
    assert found is not None
    return [int(user) for user in found.catalogue.user_ids]


def test_the_champion_makes_everybodys_lists_and_one_users(
    up: Up, known_users: list[int], tmp_path: Path
) -> None:
    one = up.begin(
        "recommend", user=known_users[0], explain=True, out=str(tmp_path / "one.parquet")
    )
    done = deployment_run(up, "recommend/recommend", "top_n=7", f"out={tmp_path / 'all.parquet'}")
    assert done.returncode == 0, done.stdout + done.stderr
    lists = pl.read_parquet(tmp_path / "all.parquet")
    CONTRACTS["top_n"].validate(lists, lazy=True)
    assert lists["user_id"].unique().sort().to_list() == sorted(known_users)
    assert lists["rank"].max() == 7
    assert up.ended(one)["state_type"] == "COMPLETED"
    (shown,) = up.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [one]}})
    assert f"user {known_users[0]}" in shown["data"]
    of_one = pl.read_parquet(tmp_path / "one.parquet")
    columns = ["user_id", "rank", "video_id"]
    assert (
        of_one.head(7).select(columns).equals(lists.filter(user_id=known_users[0]).select(columns))
    )


def test_the_past_is_played(up: Up) -> None:
    days = ("from_day=2020-09-03", "to_day=2020-09-05", "every_days=2")
    models = 'models=["random","popularity"]'
    done = deployment_run(up, "backfill/backfill", "scale=0.02", models, *days)
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = up.made("staleness/staleness")
    block = pl.read_parquet(table / "data.parquet").filter(
        test_set="small_matrix", model="popularity"
    )
    assert block["days_old"].to_list() == [0, 2]
    artifacts = up.ask("artifacts/latest/filter", artifacts={"key": {"any_": ["staleness"]}})
    assert len(artifacts) == 1


SCHEDULED = {"nightly": "19:30", "tune": "05:00"}
"""When a deployment is due, UTC: 03:30 each day and 13:00 on Sundays in Shanghai."""


@pytest.fixture
def switched_on(up: Up) -> Iterator[None]:
    """The schedules of prefect.yaml, while no worker takes what is due by the clock."""
    up.request("PATCH", "work_pools/grail", {"is_paused": True})
    switch(up, on=True)
    yield
    switch(up, on=False)
    by_itself = {"tags": {"all_": ["auto-scheduled"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    for run in up.ask("flow_runs/filter", flow_runs=by_itself):  # one that was due meanwhile
        up.request("DELETE", f"flow_runs/{run['id']}")
    up.request("PATCH", "work_pools/grail", {"is_paused": False})


def switch(up: Up, *, on: bool) -> None:
    for name in SCHEDULED:
        deployment = up.deployment(name)
        (schedule,) = deployment["schedules"]
        path = f"deployments/{deployment['id']}/schedules/{schedule['id']}"
        up.request("PATCH", path, {"active": on})


@pytest.mark.usefixtures("switched_on")
def test_the_nights_to_come_are_scheduled_with_the_same_parameters(up: Up) -> None:
    """A server that silently never schedules (SQLAlchemy 2.1) has been seen."""
    query = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    due = {up.deployment(name)["id"]: at for name, at in SCHEDULED.items()}

    def runs() -> list[Any]:
        return [run for run in up.ask("flow_runs/filter", **query) if run["deployment_id"] in due]

    eventually(lambda: {run["deployment_id"] for run in runs()} == due.keys())
    assert {(r["deployment_id"], r["expected_start_time"][11:16]) for r in runs()} == set(
        due.items()
    )
    assert {run["parameters"]["tracking_uri"] for run in runs()} == {up.mlflow}


@contextmanager
def scheduled(up: Up, due: datetime, **parameters: Any) -> Iterator[str]:
    """A schedule of the nightly deployment, beside its own; gives the id of the run it makes."""
    deployment = up.deployment("nightly")
    path = f"deployments/{deployment['id']}"
    own = [
        {name: schedule[name] for name in ("schedule", "active", "slug")}
        for schedule in deployment["schedules"]
    ]
    cron = {"cron": f"{due.minute} {due.hour} * * *", "timezone": str(due.tzinfo)}
    added = {"schedule": cron, "active": True, "slug": "soon", "parameters": parameters}
    query = {"deployments": {"id": {"any_": [deployment["id"]]}}}

    def found() -> list[str]:
        runs = up.ask("flow_runs/filter", **query, sort="EXPECTED_START_TIME_DESC")
        return [run["id"] for run in runs if instant(run["expected_start_time"]) == due]

    up.request("PATCH", path, {"schedules": [*own, added]})
    try:
        eventually(found, seconds=120)
        (run,) = found()
        yield str(run)
    finally:
        (soon,) = [s for s in up.deployment("nightly")["schedules"] if s["slug"] == "soon"]
        up.request("DELETE", f"{path}/schedules/{soon['id']}")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_night_starts_by_itself_and_another_waits_for_its_end(up: Up) -> None:
    due = datetime.now(SHANGHAI).replace(second=0, microsecond=0) + timedelta(minutes=1)
    if due - datetime.now(SHANGHAI) < timedelta(seconds=15):  # it must be ahead
        due += timedelta(minutes=1)
    waits = backend_of(str(up.root)).at_rest()  # the first night lasts as long as this is held
    with waits, scheduled(up, due, **SMALL) as by_itself:
        assert up.run(by_itself)["auto_scheduled"]
        eventually(lambda: up.run(by_itself)["state_type"] == "RUNNING")
        by_hand = up.begin("nightly", **SMALL)
        eventually(lambda: up.run(by_hand)["state_name"] == "AwaitingConcurrencySlot")
    first, second = up.ended(by_itself), up.ended(by_hand)
    assert [run["state_type"] for run in (first, second)] == ["COMPLETED", "COMPLETED"]
    assert instant(first["end_time"]) < instant(second["start_time"])
    early = due - instant(first["start_time"])
    assert early < timedelta(seconds=10), "a worker looks no further ahead"


def test_a_second_up_says_where_the_first_is(up: Up) -> None:
    second = subprocess.run(up.command(), cwd=PROJECT, capture_output=True, text=True)
    assert second.returncode == 1, second.stderr
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
        eventually(lambda: one.named("prefect"))
        yield one
    finally:
        one.kill()


def test_kill_9_leaves_no_orphan(begun: Up) -> None:
    eventually(lambda: begun.named("mlflow"))
    begun.process.kill()
    eventually(lambda: not marked(str(begun.root)), seconds=20)
    assert begun.is_gone()


def test_a_server_that_dies_is_named_and_the_others_end(begun: Up) -> None:
    (prefect,) = begun.named("prefect")
    prefect.kill()
    assert begun.process.wait(timeout=60) == 1
    assert "prefect was killed by signal 9; " in begun.said.read_text()
    assert begun.is_gone()
