"""Where people look at runs and ask the champion: links that open, commands that run as printed."""

import shutil
import sys
from pathlib import Path
from shlex import quote
from urllib.parse import quote as percent
from urllib.parse import urlencode

from schemas.addresses import has_secret, without_secrets
from schemas.tracked_settings import TRACKING

OWN_SERVER = "http://127.0.0.1:5000"
"""Where `mlflow server` listens unless it is told otherwise."""

ON_MODELS = {"workflowType": "machine_learning"}
"""What opens MLflow's pages about models, and not those about language models."""


def models_page(experiment: str, night: str) -> str:
    """Return the page, below MLflow's address, that compares a night's models, best first.

    ``night`` is the id of the night's run, in which the models' runs are nested.
    """
    query = {
        **ON_MODELS,
        "searchFilter": f"tags.`mlflow.parentRunId` = '{night}'",
        "orderByKey": "metrics.`ndcg_at_10`",
        "orderByAsc": "false",
        "compareRunsMode": "CHART",
    }
    return f"#/experiments/{experiment}/runs?{urlencode(query, quote_via=percent)}"


def run_page(experiment: str, run_id: str) -> str:
    """Return the page of one run, below MLflow's address."""
    return f"#/experiments/{experiment}/runs/{run_id}?{urlencode(ON_MODELS)}"


def ways_to(page: str, address: str) -> dict[str, str]:
    """Return what to ``open``, and the command for it where no server answers at ``address``."""
    if address.startswith(("http:", "https:")):
        return {"open": f"{without_secrets(address).rstrip('/')}/{page}"}
    # A password can only have come by the environment, so it is there for the command, too
    store = f'"${TRACKING}"' if has_secret(address) else quote(address)
    return {
        "compare": f"{_program('mlflow')} server --backend-store-uri {store}",
        "open": f"{OWN_SERVER}/{page}",
    }


def way_to_serve(registered_model: str, address: str) -> str:
    """Return the command that answers requests with the champion's lists."""
    champion = quote(f"models:/{registered_model}@champion")
    return mlflow_command(f"models serve -m {champion} --env-manager local", address)


def mlflow_command(words: str, address: str) -> str:
    """Return a command of MLflow's that asks the one at ``address``."""
    tracking = "" if has_secret(address) else f"{TRACKING}={quote(address)} "
    return f"{tracking}{_program('mlflow')} {words}"


def _program(name: str) -> str:
    """Return how a shell finds a program of this environment, whether that is active or not."""
    folder, found = Path(sys.executable).parent, shutil.which(name)
    if found is not None and Path(found).parent == folder:
        return name
    return f"PATH={quote(str(folder))}:$PATH {name}"
