"""What there is to tell, and that it is told once: one message a cause, whoever finds it again.

What was told is noted under the root, in ``ROOT/alerts``: the same cause is silent on a retry, in
another run and on another machine. Here: causes. Not here: how a message travels.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from schemas.errors import AlertError, GrailError
from tasks.alerts.channels import Channel, channels
from tasks.artifacts.backend import Backend, backend_of

logger = logging.getLogger(__name__)

FOLDER = "alerts"
"""Under a root: a file for each message that was sent, and when a night last began."""

LAST_NIGHT = f"{FOLDER}/last-night.txt"

FAILED, REFUSED, PAST_THRESHOLD = "failed night", "refused blend", "check past its threshold"
OLD_CHAMPION, NO_NIGHT = "old champion", "night that did not start"


@dataclass(frozen=True)
class Alert:
    """Something that a person should hear of.

    ``cause`` tells it from others of its kind: the same one is told once. ``text`` says what
    happened and what to do.
    """

    kind: str
    cause: str
    text: str

    @property
    def title(self) -> str:
        """What stands above it."""
        return f"Grail: {self.kind}"

    @property
    def key(self) -> str:
        """16 hexadecimal digits for its kind and cause."""
        return hashlib.sha256(f"{self.kind}\n{self.cause}".encode()).hexdigest()[:16]


def tell(root: str, alerts: Sequence[Alert]) -> int:
    """Send what was not told before on every channel that is set; return how many messages went.

    One that cannot be sent is a line in the log, and is tried again with the next run. Where the
    root cannot be asked, all are sent: rather twice than never.
    """
    return sum(_told(root, alert, channel) for alert in alerts for channel in channels())


def _told(root: str, alert: Alert, channel: Channel) -> bool:
    note, said = f"{FOLDER}/{alert.key}-{channel.name}.json", asdict(alert)
    said |= {"sent_at": datetime.now(UTC).isoformat(timespec="seconds")}
    text = json.dumps(said, ensure_ascii=False, indent=1)
    backend: Backend | None = None
    try:
        backend = backend_of(root)
        if not backend.create(f"{backend.root}/{note}", text.encode()):
            return False
    except (GrailError, OSError) as error:
        logger.warning("that an alert was sent cannot be noted on %s: %s", root, error)
        backend = None
    try:
        channel.send(alert.title, alert.kind, alert.text)
    except AlertError as error:
        logger.warning("alert not sent by %s (%s): %s", channel.name, alert.kind, error)
        if backend is not None:
            backend.remove(f"{backend.root}/{note}")
        return False
    logger.info("alert sent by %s: %s", channel.name, alert.kind)
    return True


def night_begins(backend: Backend, now: datetime) -> None:
    """Note when a night began: what ``overdue`` looks at."""
    backend.write(f"{backend.root}/{LAST_NIGHT}", now.isoformat().encode())


def last_night(backend: Backend) -> datetime | None:
    """Return when a night last began; None where none ever did, or it cannot be read."""
    try:
        text = backend.read(f"{backend.root}/{LAST_NIGHT}").decode()
        return datetime.fromisoformat(text)
    except (FileNotFoundError, ValueError):
        return None


def overdue(begun: datetime | None, now: datetime, max_hours: float, root: str) -> list[Alert]:
    """Return an alert where no night has begun for so long; one for each night that was the last.

    A root without any night is as one whose last night began at no time.
    """
    if begun is not None and (now - begun).total_seconds() <= max_hours * 3600:
        return []
    since = "ever" if begun is None else f"since {begun:%Y-%m-%d %H:%M} UTC"
    text = (
        f"No night has begun {since} on {root}, and one should every {max_hours:g} hours. See"
        " whether Prefect's server and its worker run, whether nightly/nightly has a schedule that"
        " is switched on, and whether another run of it holds it up."
    )
    return [Alert(NO_NIGHT, f"{root} {begun}", text)]


def aged(family: str, version: str, made: date, today: date, max_days: int) -> list[Alert]:
    """Return an alert where a champion is older than it may be; one a version."""
    days = (today - made).days
    if days <= max_days:
        return []
    text = (
        f"{family} version {version}, the champion, knows nothing since {made}: it is {days} days"
        f" old, and {max_days} are the limit. Either no night runs, or the gate refuses what they"
        " make: the night's report says why."
    )
    return [Alert(OLD_CHAMPION, f"{family} {version}", text)]
