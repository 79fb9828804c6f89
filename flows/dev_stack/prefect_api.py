"""What `up` asks of Prefect's server: the work pool, the deployments, the worker, lost nights."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import actions, filters
from prefect.client.schemas.objects import State, StateType, WorkerStatus
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed

from schemas.errors import ServerError

POOL = "grail"
OF_POOL = filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[POOL]))
UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
EXPECTED = (httpx.codes.CONFLICT, httpx.codes.NOT_FOUND)
"""Answers of which Prefect's client makes errors of its own."""


class Client(SyncPrefectClient):
    """Prefect's client, whose errors say in one line what was asked of which server.

    Where a server says, with 503, that its database is locked, it asks again by itself; where none
    is there, only if there was one before.
    """

    def request(self, method: Any, path: Any, *args: Any, **options: Any) -> httpx.Response:
        """Ask the server; ServerError with what it said if that is neither good nor expected."""
        what = f"Prefect's server, asked to {method} {str(self.api_url).rstrip('/')}{path},"
        try:
            return super().request(method, path, *args, **options)
        except httpx.TransportError as error:
            raise ServerError(f"{what} did not answer: {type(error).__name__} {error}") from error
        except httpx.HTTPStatusError as error:
            if (code := error.response.status_code) in EXPECTED:
                raise
            raise ServerError(f"{what} answered {code}: {error.response.text[:300]}") from error


class Pool:
    """The work pool of a Prefect server."""

    def __init__(self, api: str, login: str = "") -> None:
        """Talk to the API at an address, as user:password; nothing is asked yet."""
        by_no_proxy = {"trust_env": False, "timeout": 30}
        self._client = Client(api, auth_string=login or None, httpx_settings=by_no_proxy)

    def __enter__(self) -> Self:
        """Give the pool itself."""
        self._client.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close what connections there are."""
        self._client.__exit__(*exception)

    def create(self) -> None:
        """Create the pool unless it is there; its first worker says what jobs of its kind take."""
        try:
            self._client.create_work_pool(actions.WorkPoolCreate(name=POOL, type="process"))
        except ObjectAlreadyExists:
            return

    def deployments(self) -> dict[str, dict[str, Any]]:
        """Return the pool's deployments by ``flow/deployment``, in the order of their names."""
        flows = {flow.id: flow.name for flow in self._client.read_flows()}
        found = self._client.read_deployments(work_pool_filter=OF_POOL)
        named = {f"{flows[one.flow_id]}/{one.name}": one.model_dump(mode="json") for one in found}
        return dict(sorted(named.items()))

    def change(self, deployment: str, changes: Mapping[str, Any]) -> None:
        """Change some of what a deployment, of that id, is; the rest of it stays."""
        new = actions.DeploymentUpdate.model_validate(changes)
        self._client.update_deployment(UUID(deployment), new)

    def change_schedule(self, deployment: str, schedule: str, parameters: dict[str, Any]) -> None:
        """Give a schedule of a deployment, both by their ids, other parameters."""
        self._client.update_deployment_schedule(
            UUID(deployment), UUID(schedule), parameters=parameters
        )

    def has_worker(self, since: datetime) -> bool:
        """Whether a worker has called in since."""
        return any(
            one.status == WorkerStatus.ONLINE and (one.last_heartbeat_time or since) > since
            for one in self._client.read_workers_for_work_pool(POOL)
        )

    def crash_orphaned_runs(self, root: str) -> int:
        """Mark as crashed the runs into a root that nobody runs any more; return how many.

        One that was killed stays "Running" in Prefect for ever, and as a deployment runs one night
        at a time, no other would start.
        """
        types = filters.FlowRunFilterStateType(any_=UNFINISHED)
        unfinished = filters.FlowRunFilter(state=filters.FlowRunFilterState(type=types))
        found = self._client.read_flow_runs(flow_run_filter=unfinished, work_pool_filter=OF_POOL)
        lost = [run for run in found if run.parameters.get("root") == root]
        for run in lost:
            crashed: State[Any] = Crashed(message="Its worker was stopped.")
            self._client.set_flow_run_state(run.id, crashed, force=True)
        return len(lost)
