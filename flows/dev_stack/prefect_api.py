"""What `up` asks of Prefect's server: the work pool, the deployments, the worker, lost nights."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import httpx
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from schemas.errors import ServerError

POOL = "grail"
UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask a Prefect server again while it is busy, for a minute; return its last answer.

    With 503 it says that its SQLite database is locked by another request, and that nothing was
    done; Prefect's own client repeats such a request, too.
    """
    retrying = Retrying(
        retry=retry_if_result(lambda answer: answer.status_code == httpx.codes.SERVICE_UNAVAILABLE),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(60),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    return retrying(ask)


class Pool:
    """The work pool of a Prefect server, through its API."""

    def __init__(self, api: str, login: str = "") -> None:
        """Talk to the API at an address, as user:password; nothing is asked yet."""
        user, _, password = login.partition(":")
        self._client = httpx.Client(
            base_url=api,
            timeout=30,
            trust_env=False,  # by no proxy
            auth=(user, password) if login else None,
        )

    def __enter__(self) -> Self:
        """Give the pool itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close what connections there are."""
        self._client.close()

    def create(self) -> None:
        """Create the pool unless it is there; its first worker says what jobs of its kind take."""
        wanted = {"name": POOL, "type": "process"}
        self._ask("POST", "/work_pools/", wanted, well=(httpx.codes.CONFLICT,))

    def deployments(self) -> dict[str, dict[str, Any]]:
        """Return the pool's deployments by ``flow/deployment``, in the order of their names."""
        of_pool = {"work_pools": {"name": {"any_": [POOL]}}}
        flows = {flow["id"]: flow["name"] for flow in self._post("/flows/filter", {})}
        found = self._post("/deployments/filter", of_pool)
        return dict(sorted((f"{flows[one['flow_id']]}/{one['name']}", one) for one in found))

    def change(self, deployment: str, changes: Mapping[str, Any]) -> None:
        """Change some of what a deployment, of that id, is; the rest of it stays."""
        self._ask("PATCH", f"/deployments/{deployment}", changes)

    def has_worker(self, since: datetime) -> bool:
        """Whether a worker has called in since."""
        found = self._post(f"/work_pools/{POOL}/workers/filter", {})
        return any(
            one["status"] == "ONLINE" and datetime.fromisoformat(one["last_heartbeat_time"]) > since
            for one in found
        )

    def bury(self, root: str) -> int:
        """Mark as crashed the runs into a root that nobody runs any more; return how many.

        One that was killed stays "Running" in Prefect for ever, and as a deployment runs one night
        at a time, no other would start.
        """
        query = {
            "work_pools": {"name": {"any_": [POOL]}},
            "flow_runs": {"state": {"type": {"any_": UNFINISHED}}},
        }
        lost = [
            run
            for run in self._post("/flow_runs/filter", query)
            if run["parameters"].get("root") == root
        ]
        state = {"type": "CRASHED", "name": "Crashed", "message": "Its worker was stopped."}
        for run in lost:
            self._post(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
        return len(lost)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, body).json()

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any], well: Sequence[int] = ()
    ) -> httpx.Response:
        """Ask the server; ServerError with what it said if that is neither good nor expected."""
        what = (
            f"Prefect's server, asked to {method} {str(self._client.base_url).rstrip('/')}{path},"
        )
        try:
            answer = patiently(lambda: self._client.request(method, path, json=body))
        except httpx.TransportError as error:
            raise ServerError(f"{what} did not answer: {type(error).__name__} {error}") from error
        if not answer.is_success and answer.status_code not in well:
            raise ServerError(f"{what} answered {answer.status_code}: {answer.text[:300]}")
        return answer
