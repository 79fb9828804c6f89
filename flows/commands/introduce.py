"""Says which servers a command talks to, and ends it at once where Prefect is not there."""

import os
import re

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.commands.terminal import say
from schemas.addresses import without_secrets
from schemas.errors import ServerError
from schemas.tracked_settings import TRACKING, TrackedConfig

API = "PREFECT_API_URL"
SECONDS = 10
"""That a server may take to answer the first question; it is asked twice."""


def introduce(config: TrackedConfig) -> None:
    """Print Prefect's and MLflow's addresses, and who chose them; ServerError without a Prefect."""
    api = PREFECT_API_URL.value()
    chosen = API if os.environ.get(API) else "Prefect's settings"
    prefect = f"{without_secrets(api)} ({chosen})" if api else "a temporary server"
    mlflow = without_secrets(config.tracking_address)
    if config.tracking_uri is None and os.environ.get(TRACKING):
        mlflow += f" ({TRACKING})"
    say(f"prefect  {prefect}", f"mlflow   {mlflow}", on_stderr=True)
    if api:
        check_prefect(api)


def check_prefect(api: str) -> None:
    """Ask a server something harmless; ServerError says why there is no answer.

    A flow would ask for minutes, and end in several tracebacks.
    """
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
            get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client,
        ):
            client.read_flows(limit=1)
    except httpx.HTTPStatusError as error:
        reason = f"{error.response.status_code} {error.response.reason_phrase}"
        if error.response.status_code == httpx.codes.UNAUTHORIZED:
            reason += ": set PREFECT_API_AUTH_STRING to its user:password"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RuntimeError) as error:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)).rstrip(".") or type(error).__name__
    else:
        return
    where = "" if os.environ.get(API) else " among Prefect's settings (prefect config view)"
    raise ServerError(
        f"Prefect at {without_secrets(api)} did not answer as it should: {without_secrets(reason)}."
        f" Start it, or unset {API}{where} for a temporary one"
    )
