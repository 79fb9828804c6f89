"""How a message travels: to a webhook, and by email, as the environment says.

Addresses may hold secrets, so they are no flags and are never shown: GRAIL_ALERT_WEBHOOK,
GRAIL_ALERT_EMAIL and GRAIL_ALERT_SMTP.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit

import httpx

from schemas.errors import AlertError

WEBHOOK, EMAIL, SMTP = "GRAIL_ALERT_WEBHOOK", "GRAIL_ALERT_EMAIL", "GRAIL_ALERT_SMTP"
SECONDS = 10.0
"""So long a far side is waited for."""
OWN_SERVER = "smtp://127.0.0.1:25"
PORTS = {"smtp": 25, "smtps": 465}


class Channel(Protocol):
    """A way by which messages travel."""

    @property
    def name(self) -> str:
        """What it is called."""

    def send(self, title: str, kind: str, text: str) -> None:
        """Send a message; AlertError if that cannot be done."""


@dataclass(frozen=True)
class Webhook:
    """Posts a message as JSON: ``text``, which chats show, ``title`` and ``kind``."""

    url: str
    name: str = "webhook"

    def send(self, title: str, kind: str, text: str) -> None:
        """Post it; whatever is not an answer of 2xx is an error."""
        body = {"text": f"{title}\n{text}", "title": title, "kind": kind}
        try:
            httpx.post(self.url, json=body, timeout=SECONDS).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise AlertError(f"{WEBHOOK} answered {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise AlertError(f"{WEBHOOK} cannot be reached: {type(error).__name__}") from error


@dataclass(frozen=True)
class Email:
    """Mails a message by an SMTP server: smtp://, with TLS where the server can, or smtps://."""

    to: str
    server: str
    name: str = "email"

    def send(self, title: str, kind: str, text: str) -> None:
        """Mail it."""
        del kind  # in the title
        message = EmailMessage()
        message["Subject"], message["To"], message["From"] = title, self.to, self.to
        message.set_content(text)
        try:
            self._send(message)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise AlertError(f"{SMTP} took no message: {type(error).__name__}") from error

    def _send(self, message: EmailMessage) -> None:
        given = urlsplit(self.server)
        kind = smtplib.SMTP_SSL if given.scheme == "smtps" else smtplib.SMTP
        port = given.port or PORTS.get(given.scheme, 25)
        with kind(given.hostname or "127.0.0.1", port, timeout=SECONDS) as server:
            server.ehlo()
            if given.scheme != "smtps" and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if given.username:
                server.login(unquote(given.username), unquote(given.password or ""))
            server.send_message(message)


def channels(environment: Mapping[str, str] | None = None) -> list[Channel]:
    """Return the channels that are set, none if nobody wants to hear anything."""
    given = os.environ if environment is None else environment
    found: list[Channel] = []
    if url := given.get(WEBHOOK):
        found.append(Webhook(url))
    if to := given.get(EMAIL):
        found.append(Email(to, given.get(SMTP) or OWN_SERVER))
    return found
