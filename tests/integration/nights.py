"""Runs nights in tests, and tells what Prefect shows of them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)

from flows.nightly import nightly
from tasks.reporting.summary import Summary

RESTLESS = {"check", "resolve", "publish", "summarise"}
"""First words of tasks that do the same every time: they ask, or show."""


@dataclass(frozen=True)
class Ran:
    """A finished night: its summary, and the final state of each task by its name."""

    summary: Summary
    states: Mapping[str, str]
    flow_run_id: str

    @property
    def summary_again(self) -> Summary:
        """What an equal night must say: the same, which is no news then."""
        promotion = self.summary.promotion.model_copy(update={"is_news": False})
        return self.summary.model_copy(update={"promotion": promotion})

    @property
    def artifacts(self) -> dict[str, Any]:
        """What Prefect shows of the run, by key."""
        of_run = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(self.flow_run_id)]),
            key=ArtifactFilterKey(exists_=True),  # Prefect keeps results as artifacts without one
        )
        with get_client(sync_client=True) as client:
            return {str(a.key): a for a in client.read_artifacts(artifact_filter=of_run)}

    @property
    def computed(self) -> set[str]:
        """Tasks that had to make something."""
        return {
            name
            for name, state in self.states.items()
            if state != "Cached" and name.split("-")[0] not in RESTLESS
        }


def night(root: Path | str, **settings: Any) -> Ran:
    """Run the nightly flow on a root and read back from Prefect what happened."""
    state = nightly(root=str(root), **settings, return_state=True)
    run_id = state.state_details.flow_run_id
    return Ran(state.result(), _final_states(run_id), str(run_id))


def _final_states(flow_run_id: Any) -> dict[str, str]:
    """Wait for the last event to arrive: Prefect records task states a little after the run."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            task_runs = client.read_task_runs(flow_run_filter=run)
            states = {r.name: r.state for r in task_runs if r.state is not None}
            is_final = all(state.is_final() for state in states.values())
            if is_final and any(name.startswith("summarise") for name in states):
                return {name: str(state.name) for name, state in states.items()}
            time.sleep(0.2)
    raise TimeoutError(f"Prefect still shows unfinished tasks: {states}")
