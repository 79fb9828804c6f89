"""Takes the README's pictures: a night's models compared in MLflow, and its page in Prefect.

Beside a `make up` in which at least one night has been played, with Chromium on the PATH:

    python -m docs.screenshots --prefect http://127.0.0.1:4200 --mlflow http://127.0.0.1:5000
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    # as root, in a container; the pages are our own
    "--no-sandbox",
    *("--disable-background-networking", "--disable-component-update", "--disable-quic"),
    "--virtual-time-budget=30000",  # the pages fetch what they show
)


class ScreenshotError(Exception):
    """Nothing to take a picture of, or nothing to take it with."""


def night_in_mlflow(mlflow: str) -> str:
    """Return the address that compares the models of the last whole night."""
    api = f"{mlflow}/api/2.0/mlflow"
    with httpx.Client(timeout=30, trust_env=False) as web:
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
    of_night = f"tags.`grail.night` = '{tags['grail.night']}' and tags.`grail.model` != ''"
    query = {
        "searchFilter": of_night,
        "compareRunsMode": "CHART",
        "orderByKey": "metrics.`ndcg_at_10`",
        "orderByAsc": "false",
    }
    where = runs[0]["info"]["experiment_id"]
    return f"{mlflow}/#/experiments/{where}/runs?{urlencode(query, quote_via=quote)}"


def night_in_prefect(prefect: str) -> str:
    """Return the address of the last completed run of the nightly flow."""
    query = {
        "flows": {"name": {"any_": ["nightly"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
        "sort": "END_TIME_DESC",
        "limit": 1,
    }
    with httpx.Client(timeout=30, trust_env=False) as web:
        runs = web.post(f"{prefect}/api/flow_runs/filter", json=query).json()
    if not runs:
        raise ScreenshotError(f"{prefect} has no completed night: play one first")
    return f"{prefect}/runs/flow-run/{runs[0]['id']}"


def photograph(address: str, file: Path, width: int, height: int) -> None:
    """Open an address in headless Chromium and save what a person would see."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise ScreenshotError(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                *(browser, *FLAGS, f"--user-data-dir={profile}"),
                *(f"--window-size={width},{height}", f"--screenshot={file}", address),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
    if done.returncode != 0 or not file.exists():
        raise ScreenshotError(f"{browser} took no picture of {address}:\n{done.stderr}")


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
