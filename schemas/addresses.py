"""Addresses as they may be shown and kept: without what lets a person in."""

import re

HIDDEN = "***"

_USER_INFO = re.compile(r"(?<=://)(?:[^/:\s\"'<>]*:[^\s\"'<>]*|[^/\s\"'<>]*)@")
"""Who logs in, and with what. A password may have slashes: databases' URLs allow that."""

_SECRET_PARAMETER = re.compile(
    r"(?<=[?&;])([\w.%-]*(?:pass|pwd|token|key|secret|sig|credential|auth)[\w.%-]*)"
    r"=[^&;#\s\"'<>]+",
    re.IGNORECASE,
)
"""A parameter of a URL by whose name one can tell that its value opens something."""


def without_secrets(text: str) -> str:
    """Return an address, or any text that holds addresses, without passwords and the like.

    Of a log-in nothing stays, as a token may stand where the user's name is: a link still works.
    """
    text = _USER_INFO.sub("", text)
    return _SECRET_PARAMETER.sub(rf"\1={HIDDEN}", text)


def has_secret(address: str) -> bool:
    """Whether there is something in an address that must not be shown or kept."""
    return without_secrets(address) != address
