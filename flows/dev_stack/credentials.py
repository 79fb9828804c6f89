"""The login of a root's servers: kept where only its owner can read it, never printed."""

import os
import secrets
import shlex
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from schemas.errors import ConfigError

SERVER_LOGIN, CLIENT_LOGIN = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
"""Environment variables: user:password, as Prefect's server and its clients call it."""
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
"""Environment variables: MLflow's login, for its server and for whoever asks it."""
FILE = "up.login"
SHELL_FILE = "up.env"


def login_of(root: Path, given: Mapping[str, str]) -> str:
    """Return user:password: the environment's, or else the root's own, made when first needed.

    Empty where the environment says so: then nobody is asked who they are.
    """
    for name in (SERVER_LOGIN, CLIENT_LOGIN):
        if name in given:
            return checked_login(name, given[name])
    return kept(root / FILE) or made(root / FILE)


def checked_login(name: str, login: str) -> str:
    """Return it, or ConfigError (without it) if no browser or client could send it."""
    user, colon, password = login.partition(":")
    if login and not (user and colon and password and login.isascii() and login.isprintable()):
        raise ConfigError(f"{name} must be user:password, in plain ASCII, or empty for no login")
    return login


def kept(file: Path) -> str | None:
    """Return what a file says, if it is ours and nobody else could read it."""
    with suppress(OSError), os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as text:
        about = os.fstat(text.fileno())
        if about.st_uid == os.getuid() and not stat.S_IMODE(about.st_mode) & 0o077:
            return text.read().strip() or None
    return None


def made(file: Path) -> str:
    """Write a new login into a file of its owner's, whole or not at all, and return it."""
    login = f"admin:{secrets.token_urlsafe(24)}"
    write_private(file, login + "\n")
    return login


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    number, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    with os.fdopen(number, "w") as to:
        to.write(text)
    Path(beside).replace(file)


def mlflow_login(login: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return MLflow's variables: those of the environment, or the same login as Prefect's."""
    if given.get(USER) and given.get(PASSWORD):
        return {USER: given[USER], PASSWORD: given[PASSWORD]}
    user, _, password = login.partition(":")
    return {USER: user, PASSWORD: password} if login else {}


def write_shell_file(root: Path, told: Mapping[str, str], given: Mapping[str, str]) -> Path:
    """Write what another terminal needs to ask servers that were ``told``; return it to be sourced.

    It holds no secret: a login of the root's own is read from its file, another one is not stored.
    """
    login = f"$(cat {shlex.quote(str(root / FILE))})"
    if {SERVER_LOGIN, CLIENT_LOGIN} & given.keys():
        login = f"${{{CLIENT_LOGIN}-${SERVER_LOGIN}}}"
    lines = [
        f"export PREFECT_API_URL={shlex.quote(told['PREFECT_API_URL'])}",
        f'export {CLIENT_LOGIN}="{login}"',
        f"export MLFLOW_TRACKING_URI={shlex.quote(told['GRAIL_MLFLOW'])}",
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
    ]
    if not (given.get(USER) and given.get(PASSWORD)):
        lines.append(f'export {USER}="${{{CLIENT_LOGIN}%%:*}}" {PASSWORD}="${{{CLIENT_LOGIN}#*:}}"')
    write_private(root / SHELL_FILE, "\n".join(lines) + "\n")
    return root / SHELL_FILE
