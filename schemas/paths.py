"""Paths as each library must be told them: one person's path, and no library's own reading of it.

A folder may be called ``50 % off? [old] #2``. SQLAlchemy takes what follows a ``?`` for a query,
Polars takes ``[ ] * ?`` for patterns, URLs decode ``%`` and end at ``#``.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator

AS_THEY_ARE = "/ "
"""Beside letters, digits and ``_.-~``: what no library reads anything into."""


LONGEST_DATABASE = 490
"""Bytes: SQLite allows 512, for the longest name of what it and we put beside a database."""


def is_url(place: str) -> bool:
    """Whether a root or a file is given as a URL, and not as a path of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def absolute(path: str) -> Path:
    """Return the one absolute path that is meant: ``~`` is the home, links are followed.

    ValueError if there is no such home, or links lead round in circles.
    """
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{path!r} is no path: {error}") from error


def place(given: str) -> str:
    """Return a root or a file as it is told to everything: an absolute path, or a URL."""
    if urlsplit(given).scheme == "file":
        return str(absolute(unquote(urlsplit(given).path)))
    return given if is_url(given) else str(absolute(given))


def address(place: str) -> str:
    """Return a place as MLflow takes files from it: it would read a path for a URL."""
    return place if is_url(place) else Path(place).as_uri()


@dataclass(frozen=True)
class Metavar:
    """What a command's help calls the value of a flag, in the flag's type."""

    text: str


Place = Annotated[str, AfterValidator(place), Metavar("PATH")]
"""A path or URL among the settings; relative to where the process that reads them was started."""


def sqlite_address(file: Path, driver: str | None = None) -> str:
    """Return SQLAlchemy's URL of a SQLite file, for MLflow or (``driver`` aiosqlite) for Prefect.

    Only as a ``file:`` URI of SQLite's own can a path have a ``?`` in it. MLflow would make folders
    for that under the working directory, were the driver not named. ValueError if SQLite cannot
    open so long a path.
    """
    path = str(file)
    if (length := len(os.fsencode(path))) > LONGEST_DATABASE:
        raise ValueError(
            f"the path of a database in it would have {length} bytes, and SQLite opens at most"
            f" {LONGEST_DATABASE}: give a shorter one, {path[:60]}... is too long"
        )
    if quote(path, safe=AS_THEY_ARE) == path:
        return f"sqlite{'+' + driver if driver else ''}:///{path}"
    return f"sqlite+{driver or 'pysqlite'}:///file:{quote(path)}?uri=true"


def sqlite_file(address: str) -> Path | None:
    """Return the file of a SQLite URL, of either form; None if it is no SQLite file's."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///(file:)?([^?]+)(?:\?.*)?", address)
    if found is None or found[2] == ":memory:":
        return None
    return Path(unquote(found[2]) if found[1] else found[2])
