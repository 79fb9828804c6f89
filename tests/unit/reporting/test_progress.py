"""Progress on Prefect's page: it ends at 100 % where the work has, and only there."""

import logging
from contextlib import suppress

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from tasks.reporting.progress import progress_shown

pytestmark = pytest.mark.usefixtures("prefect_server")


def shown_after(key: str, fails: bool) -> tuple[float, str]:
    """What Prefect shows of work that logs three of ten steps, and then ends or fails."""

    @task
    def work() -> None:
        with progress_shown(key, "Steps of the work"):
            logging.getLogger("tasks.work").info("3 of 10", extra={"progress": 0.3})
            if fails:
                raise ValueError("it failed")

    with suppress(ValueError):
        flow(work)()
    with get_client(sync_client=True) as client:
        by_key = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        (artifact,) = client.read_artifacts(artifact_filter=by_key)
    return float(artifact.data), str(artifact.description)


def test_what_stops_early_is_done() -> None:
    assert shown_after("early", fails=False) == (100, "Steps of the work")


def test_what_fails_stays_where_it_was() -> None:
    assert shown_after("failed", fails=True) == (30, "Steps of the work")
