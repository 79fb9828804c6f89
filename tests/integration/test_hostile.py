"""One night with a real MLflow server, in an environment that is against it; its password is kept.

The proxy and the other MLflow are not there, the home is a file, and what other programs want of
MLflow is set. The password of MLflow's address must be in no byte that is written or said.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.up_process import eventually, free_port

PROJECT = Path(__file__).parents[2]
ROOT = "the root? 100 % [a] #1"
PASSWORD = "pa55-w0rd"  # noqa: S105
NIGHT = ("--source", "demo", "--scale", "0.05", "--models", "random,popularity")


@dataclass(frozen=True)
class Hostile:
    """A folder with all that was written, what a night said, and how it ended."""

    folder: Path
    environment: dict[str, str]
    said: str
    code: int

    @property
    def root(self) -> Path:
        return self.folder / ROOT


def command(folder: Path, environment: dict[str, str], *more: str) -> tuple[int, str]:
    """Run a night elsewhere than in the project; return its code and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", "nightly", *NIGHT, "--root", ROOT, *more],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    return done.returncode, done.stdout


def against(folder: Path, port: int) -> dict[str, str]:
    """An environment in which everything points elsewhere, but for MLflow's address."""
    (folder / "home").touch()
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    return {
        **own,
        **dict.fromkeys(proxies, "http://127.0.0.1:9"),
        "all_proxy": "socks5://127.0.0.1:9",
        "NO_PROXY": "somewhere.lan",
        "no_proxy": "",
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(PROJECT),
        "MLFLOW_TRACKING_URI": f"http://me:{PASSWORD}@127.0.0.1:{port}",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{folder}/elsewhere.db",
        "MLFLOW_RUN_ID": "0123456789abcdef0123456789abcdef",
        "MLFLOW_EXPERIMENT_NAME": "elsewhere",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder = tmp_path_factory.mktemp("hostile")
    port = free_port()
    environment = against(folder, port)
    served = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/served.db",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    server = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    files = ["--artifacts-destination", str(folder / "served")]
    with (
        (folder / "mlflow.log").open("wb") as log,
        subprocess.Popen([*server, *files], env=served, stdout=log, stderr=log) as process,
    ):

        def answers() -> bool:
            assert process.poll() is None, (folder / "mlflow.log").read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
            except httpx.TransportError:
                return False

        eventually(answers)
        code, said = command(folder, environment, "--summary", "summary.json")
        yield Hostile(folder, environment, said, code)
        process.terminate()


def test_it_ends_well_and_says_first_which_servers_it_uses(hostile: Hostile) -> None:
    assert hostile.code == 0, hostile.said
    port = hostile.environment["MLFLOW_TRACKING_URI"].rpartition(":")[2]
    assert f"mlflow   http://127.0.0.1:{port} (MLFLOW_TRACKING_URI)\n" in hostile.said
    assert "prefect  a temporary server\n" in hostile.said
    assert "Traceback" not in hostile.said
    assert " | INFO " not in hostile.said  # as PREFECT_LOGGING_LEVEL asks
    assert hostile.said.count("\n") < 60, hostile.said


def test_the_champion_is_where_the_runs_are(hostile: Hostile) -> None:
    summary = json.loads((hostile.folder / "summary.json").read_text())
    port = hostile.environment["MLFLOW_TRACKING_URI"].rpartition(":")[2]
    assert summary["tracking_uri"] == f"http://127.0.0.1:{port}"
    asked = httpx.get(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/get",
        params={"name": summary["promotion"]["registered_model"]},
        trust_env=False,
    )
    assert asked.is_success
    assert not (hostile.folder / "elsewhere.db").exists()
    assert not (hostile.root / "mlflow.db").exists()


def test_files_of_a_home_that_is_none_are_under_the_root(hostile: Hostile) -> None:
    assert (hostile.root / ".home" / "prefect" / "prefect.db").is_file()
    assert (hostile.folder / "home").read_bytes() == b""


def test_no_password_is_written_or_said(hostile: Hostile) -> None:
    """Also not where the address is refused as a setting, or the server is wrong."""
    setting = hostile.environment["MLFLOW_TRACKING_URI"]
    code, refused = command(hostile.folder, hostile.environment, "--tracking-uri", setting)
    assert code == 2
    assert refused.splitlines()[-1].startswith("python -m flows nightly: tracking_uri: it holds")
    dead = {**hostile.environment, "MLFLOW_TRACKING_URI": f"http://me:{PASSWORD}@127.0.0.1:9"}
    code, failed = command(hostile.folder, dead)
    assert code == 1
    assert "MLflow at http://127.0.0.1:9 " in failed.splitlines()[-1]
    for said in (hostile.said, refused, failed):
        assert PASSWORD not in said
    held = [path for path in hostile.folder.rglob("*") if path.is_file()]
    assert {"prefect.db", "served.db", "summary.json", "mlflow.log"} <= {p.name for p in held}
    assert [path for path in held if PASSWORD.encode() in path.read_bytes()] == []
