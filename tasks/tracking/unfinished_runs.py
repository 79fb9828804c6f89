"""Runs in MLflow that still show as running though the night that began them was killed."""

import logging

from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.tracking.claims import PARENT, is_held

logger = logging.getLogger(__name__)

OURS = "grail."
"""What the tags of this project's runs begin with."""


def end_unfinished(client: MlflowClient, experiment: str) -> int:
    """Mark as killed what no living process is at, of whatever night; return how many runs.

    A nested run is held by the process that is at its parent. A run that is not of this project is
    left alone.
    """
    running = [run for run in _running(client, experiment) if _is_ours(run)]
    held = {run.info.run_id for run in running if is_held(run)}
    left = [run for run in running if run.data.tags.get(PARENT, run.info.run_id) not in held]
    for run in left:
        client.set_terminated(run.info.run_id, "KILLED")
    if left:
        logger.info("%d runs that a killed night left are ended", len(left))
    return len(left)


def _running(client: MlflowClient, experiment: str) -> list[Run]:
    found: list[Run] = []
    token = None
    while token != "":
        page = client.search_runs([experiment], "attributes.status = 'RUNNING'", page_token=token)
        found += page
        token = page.token or ""
    return found


def _is_ours(run: Run) -> bool:
    return any(tag.startswith(OURS) for tag in run.data.tags)
