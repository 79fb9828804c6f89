"""Takes the README's pictures: a night's models compared in MLflow, and its page in Prefect.

Beside a `make up` in which at least one night has been played, with Chromium on the PATH:

    . data/up.env
    python -m docs.screenshots --prefect http://127.0.0.1:4200 --mlflow http://127.0.0.1:5000
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tasks.tracking.links import models_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    # as root, in a container; the pages are our own
    "--no-sandbox",
    *("--disable-background-networking", "--disable-component-update", "--disable-quic"),
    "--remote-debugging-port=0",
)
QUIET = 5.0
"""Seconds without any news of the network after which a page has fetched what it shows."""
LOGIN = os.environ.get("PREFECT_API_AUTH_STRING", "")
"""User:password of both servers, which must be in no command's words."""
BASIC = base64.b64encode(LOGIN.encode()).decode()
AUTHORIZED = {"Authorization": f"Basic {BASIC}"} if LOGIN else {}


class ScreenshotError(Exception):
    """Nothing to take a picture of, or nothing to take it with."""


def night_in_mlflow(mlflow: str) -> str:
    """Return the address that compares the models of the last whole night."""
    api = f"{mlflow}/api/2.0/mlflow"
    with httpx.Client(timeout=30, trust_env=False, headers=AUTHORIZED) as web:
        found = web.get(f"{api}/experiments/search", params={"max_results": 100}).json()
        experiments = [
            e["experiment_id"] for e in found["experiments"] if e["name"].startswith("grail")
        ]
        query = {
            "experiment_ids": experiments,
            "filter": "tags.`grail.model` != 'none' and attributes.status = 'FINISHED'",
            "order_by": ["attributes.start_time DESC"],
            "max_results": 1,
        }
        runs = web.post(f"{api}/runs/search", json=query).json().get("runs", [])
    if not runs:
        raise ScreenshotError(f"{mlflow} has no finished night: play one first")
    tags = {tag["key"]: tag["value"] for tag in runs[0]["data"]["tags"]}
    page = models_page(runs[0]["info"]["experiment_id"], tags["mlflow.parentRunId"])
    return f"{mlflow}/{page}"


def night_in_prefect(prefect: str) -> str:
    """Return the address of the last completed run of the nightly flow."""
    query = {
        "flows": {"name": {"any_": ["nightly"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
        "sort": "END_TIME_DESC",
        "limit": 1,
    }
    with httpx.Client(timeout=30, trust_env=False, headers=AUTHORIZED) as web:
        runs = web.post(f"{prefect}/api/flow_runs/filter", json=query).json()
    if not runs:
        raise ScreenshotError(f"{prefect} has no completed night: play one first")
    return f"{prefect}/runs/flow-run/{runs[0]['id']}"


class Page:
    """A page of a browser, told what to do by its debugging protocol."""

    def __init__(self, socket: Connection) -> None:
        """Talk to the browser through that socket."""
        self.socket = socket
        self.asked = 0

    def tell(self, what: str, **how: Any) -> Any:
        """Tell it one thing, and return what comes of it."""
        self.asked += 1
        self.socket.send(json.dumps({"id": self.asked, "method": what, "params": how}))
        while (said := json.loads(self.socket.recv(timeout=60))).get("id") != self.asked:
            pass
        if "error" in said:
            raise ScreenshotError(f"{what}: {said['error']['message']}")
        return said["result"]

    def wait(self) -> None:
        """Wait until the page fetches nothing more."""
        try:
            while True:
                self.socket.recv(timeout=QUIET)
        except TimeoutError:
            return


@contextmanager
def page(width: int, height: int) -> Iterator[Page]:
    """Start headless Chromium with an empty page, and end it afterwards."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise ScreenshotError(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}")
        with subprocess.Popen([browser, *flags], stderr=subprocess.DEVNULL) as process:
            try:
                with connect(socket_of(Path(profile)), max_size=None, proxy=None) as socket:
                    yield Page(socket)
            finally:
                process.terminate()


def socket_of(profile: Path) -> str:
    """Return where a browser that has just been started can be told what to do."""
    file, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
    while not file.exists() or "\n" not in file.read_text():
        if time.monotonic() > deadline:
            raise ScreenshotError("the browser does not start")
        time.sleep(0.1)
    where = f"http://127.0.0.1:{file.read_text().splitlines()[0]}/json"
    tabs = httpx.get(where, trust_env=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))


def photograph(address: str, file: Path, width: int, height: int) -> None:
    """Open an address in headless Chromium, logged in, and save what a person would see."""
    with page(width, height) as opened:
        opened.tell("Network.enable")
        opened.tell("Page.enable")
        opened.tell("Network.setExtraHTTPHeaders", headers=AUTHORIZED)  # as MLflow's page asks for
        remember = f"localStorage.setItem('prefect-password', {json.dumps(BASIC)})"
        if LOGIN:
            opened.tell("Page.addScriptToEvaluateOnNewDocument", source=remember)
        opened.tell("Page.navigate", url=address)
        opened.wait()
        file.write_bytes(base64.b64decode(opened.tell("Page.captureScreenshot")["data"]))


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description=__doc__)
    parser.add_argument("--prefect", default="http://127.0.0.1:4200", help="Prefect's address")
    parser.add_argument("--mlflow", default="http://127.0.0.1:5000", help="MLflow's address")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for them")
    asked = parser.parse_args()
    shots = {
        "mlflow.png": (night_in_mlflow(asked.mlflow), 2200, 1150),
        "prefect.png": (night_in_prefect(asked.prefect), 1500, 1100),
    }
    for name, (address, width, height) in shots.items():
        photograph(address, (asked.out / name).resolve(), width, height)
        print(asked.out / name)


if __name__ == "__main__":
    main()
