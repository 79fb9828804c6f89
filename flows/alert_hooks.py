"""What Prefect calls when a night fails or crashes: somebody is told, once a cause."""

from typing import Any

from prefect.client.schemas import FlowRun, State

from schemas.paths import place
from tasks.alerts.alert import tell
from tasks.alerts.night_alerts import failure


def tell_of_failure(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
    """Tell why a run failed or crashed; of a command that a person broke off, nothing.

    A hook is called in the process of the flow, or in that of the worker where the flow's is gone.
    """
    del flow  # the run says all
    if state.is_crashed() and flow_run.deployment_id is None:
        return
    root = place(str(flow_run.parameters.get("root", "data")))
    begun = flow_run.expected_start_time or flow_run.start_time or state.timestamp
    tell(root, [failure(flow_run.name, root, begun.date(), state.message or "")])
