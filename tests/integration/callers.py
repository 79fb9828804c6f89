"""Who asks the servers of `up`: their operator, and those who must not."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.integration.up_process import Up, eventually


@dataclass(frozen=True)
class Caller:
    """Somebody who asks a server: a page of some origin, under some name, with or without login."""

    origin: str | None = None
    host: str | None = None
    knows_login: bool = False
    kind: str = "application/json"

    def post(self, up: Up, server: str, path: str, **body: Any) -> httpx.Response:
        port = server.rpartition(":")[2]
        headers = {"Content-Type": self.kind}
        headers |= {"Origin": self.origin.format(port=port)} if self.origin else {}
        headers |= {"Host": self.host.format(port=port)} if self.host else {}
        login = up.login if self.knows_login else None
        answers = []

        def is_answered() -> bool:
            sent = {"headers": headers, "content": json.dumps(body), "auth": login}
            answers.append(httpx.post(server + path, **sent, timeout=60))
            # So a server says that its SQLite is busy; Prefect's own client asks again, too
            return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

        eventually(is_answered, pause=1)
        return answers[-1]


OPERATOR = Caller(knows_login=True)
INTRUDERS = {
    "any page": Caller("http://evil.example"),
    "any page, without asking first": Caller("http://evil.example", kind="text/plain"),
    "any page, with the browser's login": Caller("http://evil.example", knows_login=True),
    "a page without an origin": Caller("null", knows_login=True),
    "a page of another port": Caller("http://127.0.0.1:1", knows_login=True),
    "a name that leads here": Caller("http://evil.example:{port}", "evil.example:{port}"),
    "one with the login": Caller("http://evil.example:{port}", "evil.example:{port}", True),
    "one like an address": Caller(host="10.evil.example:{port}", knows_login=True),
    "another user of the machine": Caller(),
}


def run_a_shell(up: Up, caller: Caller, command: str) -> list[int]:
    """Make a deployment whose pull step is a command, and a run of it; returns the answers."""
    step = {"prefect.deployments.steps.run_shell_script": {"script": command}}
    api = f"{up.prefect}/api"
    flow = caller.post(up, api, "/flows/", name="evil")
    found = flow.json()["id"] if flow.is_success else str(uuid4())
    made = caller.post(
        *(up, api, "/deployments/"),
        name="evil",
        flow_id=found,
        work_pool_name="grail",
        pull_steps=[step],
        entrypoint="flows/nightly.py:nightly",
    )
    target = made.json()["id"] if made.is_success else up.deployment("nightly")["id"]
    run = caller.post(up, api, f"/deployments/{target}/create_flow_run")
    return [answer.status_code for answer in (flow, made, run)]
