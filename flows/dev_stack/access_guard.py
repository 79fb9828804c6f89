"""The door before a web server of `up`: who may call, under which name, and from which pages.

Any page in a browser can send requests to this machine, and by a name of its own that leads here
(DNS rebinding) even read the answers. Prefect asks for no Host and lets every page in; both servers
would answer every user of the machine. So what comes through here must be addressed to this
machine, by a page of the server itself or by no page at all, and know the login.
"""

import base64
import hmac
import ipaddress
import socket
from collections.abc import Collection
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = "/health"
LOG_IN = (
    "log in: a terminal learns how from up.env, in the root of these servers, and MLflow's clients"
    " from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
)
CAREFUL = (
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-content-type-options", b"nosniff"),
)


class Door:
    """An ASGI application before another one: lets requests through to it, or turns them away."""

    def __init__(self, app: ASGIApp, names: Collection[str], login: str | None = None) -> None:
        """Stand before ``app``; ``login`` (user:password) is asked for unless the app does it."""
        self.app = app
        self.names = [name.strip().lower() for name in names if name.strip()]
        self.expected = login and "Basic " + base64.b64encode(login.encode()).decode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to a wrong name or page, 401 to a wrong login; else let the app answer."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if reason := self.foreign(headers):
            return await turn_away(scope, receive, send, PlainTextResponse(reason + "\n", 403))
        if not self.knows(headers) and not is_health(scope):
            ask = {"WWW-Authenticate": 'Basic realm="Grail", charset="UTF-8"'}
            answer = PlainTextResponse(LOG_IN + "\n", 401, headers=ask)
            return await turn_away(scope, receive, send, answer)
        return await self.app(scope, receive, carefully(send))

    def foreign(self, headers: Headers) -> str | None:
        """Say what is wrong with the name that was called, or with the page that calls."""
        host = ",".join(headers.getlist("host"))  # several make none
        if not self.is_known(host):
            return f"no server of the name {host[:100]!r} is here; see --allowed-hosts"
        for origin in headers.getlist("origin"):
            if origin.partition("://")[2].lower() != host.lower():
                return f"pages of {origin[:100]!r} may not call this server"
        return None

    def is_known(self, host: str) -> bool:
        """Whether a Host header names this machine.

        No address needs to be on a list: only a name can be made to lead elsewhere.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_address(name) or any(fnmatchcase(name, known) for known in self.names)

    def knows(self, headers: Headers) -> bool:
        """Whether the login is right, or none is asked for here."""
        given = headers.get("authorization", "")
        return not self.expected or hmac.compare_digest(given.encode(), self.expected.encode())


def is_address(name: str) -> bool:
    """Whether this is an IP address and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches what listens there."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_health(scope: Scope) -> bool:
    """Whether this only asks if the server is well."""
    return (scope["type"], scope.get("method"), scope["path"]) == ("http", "GET", HEALTH)


async def turn_away(scope: Scope, receive: Receive, send: Send, answer: PlainTextResponse) -> None:
    """Give that answer, or refuse the websocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await answer(scope, receive, send)


def carefully(send: Send) -> Send:
    """Tell browsers to show no answer within another site's page, and to guess no types."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *CAREFUL]}
        await send(message)

    return sent


def names_of(host: str, more: str | None) -> str:
    """Return all names by which servers that listen on ``host`` may be called."""
    own = ["localhost", host] if is_loopback(host) else ["localhost", host, socket.gethostname()]
    return ",".join([*own, *(more.split(",") if more else [])])
