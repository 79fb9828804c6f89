"""Runs that a schedule asked for while no server or worker was there: the last of them is enough.

Prefect keeps all of them and begins them one after the other. Each would learn from the same log,
as of the same day; nights of a log that is played day by day would not, and are all played.
"""

from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas import filters
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed

from schemas.settings import NEXT


def skipped_if_due_again() -> "State[Any] | None":
    """Return how the running flow run ends if its schedule has asked for the same once more since.

    None for one that a person has begun, or begun again, for one of the next day of a log, and for
    the last that is due.
    """
    context = FlowRunContext.get()
    assert context is not None  # noqa: S101  # it is asked from within a run
    run: Any = context.flow_run
    if not run.auto_scheduled or run.run_count > 1 or run.parameters.get("as_of") == NEXT:
        return None
    asked = filters.FlowRunFilter(
        deployment_id=filters.FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        expected_start_time=filters.FlowRunFilterExpectedStartTime(
            after_=run.expected_start_time, before_=datetime.now(UTC)
        ),
    )
    client: Any = context.client
    later = [
        one.expected_start_time
        for one in client.read_flow_runs(flow_run_filter=asked)
        if one.auto_scheduled and one.parameters == run.parameters and one.id != run.id
    ]
    if not later:
        return None
    missed, last = (f"{time:%F %H:%M} UTC" for time in (run.expected_start_time, max(later)))
    return Completed(name="Skipped", message=f"Missed at {missed}: that of {last} is enough.")
