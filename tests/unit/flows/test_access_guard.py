"""The door before the servers of `up`: who is let in. The whole of it is attacked in test_up.py."""

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from flows.dev_stack.access_guard import Door, is_loopback, names_of


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """What is behind the door."""
    await PlainTextResponse("in")(scope, receive, send)


def code(door: Door, host: str, path: str = "/", **headers: str) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(door)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as web:
            answer = await web.post(path, headers={"Host": host, **headers})
            return answer.status_code

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "host", ["localhost:42", "127.0.0.1", "[::1]:42", "192.168.7.7:42", "Grail.lan", "a.grail.org"]
)
def test_this_machine_may_be_called_by_its_names_and_by_any_address(host: str) -> None:
    door = Door(inside, ["localhost", " grail.lan", "*.grail.org"])
    assert code(door, host) == 200
    assert code(door, host, Origin=f"http://{host}") == 200
    assert code(door, host, Origin="http://evil.example") == 403
    assert code(door, host, Origin=f"http://{host}0") == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "10.evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "["]
)
def test_no_other_name_leads_here(host: str) -> None:
    assert code(Door(inside, ["localhost"]), host) == 403


def test_only_the_login_opens_and_health_needs_none() -> None:
    door = Door(inside, ["localhost"], "me:too:many")
    assert code(door, "localhost") == 401
    assert code(door, "localhost", Authorization=httpx.BasicAuth("me", "no")._auth_header) == 401
    good = httpx.BasicAuth("me", "too:many")._auth_header
    assert code(door, "localhost", Authorization=good) == 200
    assert code(door, "localhost", "/health") == 401  # whoever posts wants more than to know


def test_names_of_the_machine_are_its_own_where_others_reach_it() -> None:
    assert names_of("127.0.0.1", None) == "localhost,127.0.0.1"
    everywhere = "0.0.0.0"  # noqa: S104
    assert names_of(everywhere, "grail.lan,g").startswith("localhost,")
    assert names_of(everywhere, "grail.lan,g").endswith(",grail.lan,g")
    assert [is_loopback(h) for h in ("localhost", "127.8.8.8", "::1")] == [True] * 3
    assert [is_loopback(h) for h in (everywhere, "::", "grail.lan", "10.0.0.1")] == [False] * 4
