"""What compose.yaml starts, as processes: MLflow, whose files are on a store that it alone asks."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from mlflow import MlflowClient

from tests.integration.s3_server import s3_server
from tests.integration.up_process import PROJECT, eventually, free_port

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn a lot
SERVICES = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
PAGES = "PREFECT_SERVER_UI_STATIC_DIRECTORY"
LOGIN = {"MLFLOW_TRACKING_USERNAME": "grail", "MLFLOW_TRACKING_PASSWORD": "of a test"}


def start(service: str, *more: str, **told: str) -> "subprocess.Popen[bytes]":
    """Start a service's command in what compose.yaml tells it, and what is otherwise here."""
    words = [*SERVICES[service]["command"], *more]
    command = [sys.executable if word == "python" else word for word in words]
    environment = {**os.environ, **SERVICES[service]["environment"], **told}
    return subprocess.Popen(command, cwd=PROJECT, env=environment)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def test_mlflow_keeps_its_files_on_the_store_and_clients_need_no_key_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figure.txt").write_text("of a night")
    (tmp_path / "back").mkdir()
    monkeypatch.setitem(SERVICES["mlflow"], "command", SERVICES["mlflow"]["command"][:-2])
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    address = f"http://127.0.0.1:{(port := free_port())}"
    with s3_server() as store:
        told = {**store.environment, "MLFLOW_S3_ENDPOINT_URL": store.address}
        for _ in range(2):  # the second time it is there
            assert start("bucket", **told).wait() == 0
        told |= {**LOGIN, "MLFLOW_BACKEND_STORE_URI": database}
        server = start("mlflow", "127.0.0.1", str(port), **told)
        try:
            eventually(lambda: answers(f"{address}/health"))
            assert httpx.get(f"{address}/").status_code == 401
            for name, part in LOGIN.items():
                monkeypatch.setenv(name, part)
            client = MlflowClient(address, registry_uri=address)
            run = client.create_run(client.create_experiment("there")).info.run_id
            client.log_artifact(run, str(tmp_path / "figure.txt"))
            back = client.download_artifacts(run, "figure.txt", str(tmp_path / "back"))
        finally:
            server.kill()
            server.wait()
        put = [path for method, path in store.asked() if method == "PUT"]
    assert Path(back).read_text() == "of a night"
    assert put == ["/mlflow", f"/mlflow/1/{run}/artifacts/figure.txt"]


def test_prefect_has_its_pages_where_nothing_but_temporary_files_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SERVICES["prefect"]["environment"]
    pages = Path(told[PAGES])
    assert SERVICES["prefect"]["read_only"]
    assert [place for place in SERVICES["prefect"]["tmpfs"] if pages.is_relative_to(place)]
    address = f"http://127.0.0.1:{(port := free_port())}"
    own = {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}",
        "PREFECT_SERVER_API_AUTH_STRING": "",
        PAGES: str(tmp_path / "pages"),
    }
    monkeypatch.setitem(SERVICES["prefect"], "command", SERVICES["prefect"]["command"][:-2])
    server = start("prefect", "127.0.0.1", str(port), **own)
    try:
        eventually(lambda: answers(f"{address}/api/health"))
        page = httpx.get(address, headers={"Accept": "text/html"}, follow_redirects=True)
    finally:
        server.kill()
        server.wait()
    assert page.is_success
    assert "text/html" in page.headers["Content-Type"]
    assert list((tmp_path / "pages").glob("*/index.html"))
