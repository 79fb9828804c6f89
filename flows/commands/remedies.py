"""What a person can do about an error that is not ours: a full disk, a limit, a database, a driver.

Whatever is not known here is a fault of this project's.
"""

import csv
import errno
import re
from collections.abc import Iterator

from schemas.addresses import without_secrets

DISK = "no space is left on the disk: free some, or choose another place with --root"
LIMIT = "a file would grow past the limit on file sizes: raise it (ulimit -f)"
MEMORY = (
    "not enough memory: end other programs, raise the limit (ulimit -v), or play a smaller world"
)
BY_NUMBER = {
    errno.ENOSPC: DISK,
    errno.EDQUOT: DISK,
    errno.EFBIG: LIMIT,
    errno.ENOMEM: MEMORY,
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "the system has too many files open: end other programs",
    errno.EROFS: "the disk is read-only: choose another place with --root",
    errno.EACCES: "this user may not do that: change the permissions, or choose another place",
    errno.EPERM: "this user may not do that: change the permissions, or choose another place",
}
BY_TEXT = {
    "database or disk is full": DISK,
    "disk I/O error": "the disk is full or broken, or a file at its limit (df, ulimit -f)",
    "readonly database": "this user may not write the database: change the permissions",
    "unable to open database file": "the database's folder is missing or closed to this user",
    "database is locked": "another program holds the database: wait for it, or end it",
    "can't start new thread": "too many threads: raise the limit (ulimit -u)",
}
"""What compiled libraries say in place of a number."""
PACKAGES = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
"""Package by the module that is missing where they differ."""
MISTAKES = (LookupError, TypeError, AttributeError, NameError, AssertionError)
OURS = {"flows", "tasks", "schemas"}


def cure_of(error: BaseException) -> str | None:
    """Say in one line what a person can mend, or None where they cannot."""
    for one in chain(error):
        if cure := _cure(one):
            return f"{cure} ({first_line(one)})"
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error was raised from or during, the first one first, and itself.

    What a programmer's mistake was made during is not its reason.
    """
    found: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in found:
        found.append(inner)
        is_alone = inner.__suppress_context__ or isinstance(inner, MISTAKES)
        inner = inner.__cause__ or (None if is_alone else inner.__context__)
    yield from reversed(found)


def first_line(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says, without passwords."""
    said = next(iter(str(error).strip().splitlines()), "")
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    line = without_secrets(line)
    return line if len(line) <= 300 else f"{line[:300]}..."


def _cure(error: BaseException) -> str | None:
    """Say what is to be done about one error of a chain."""
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
        package = PACKAGES.get(missing, missing)
        return None if missing in OURS else f"a package is missing: pip install '{package}'"
    if isinstance(error, csv.Error):
        return "a CSV file is not as it should be: fetch or export it again"
    text = str(error)
    if number := getattr(error, "errno", None) or _number_in(text):  # Polars' own has none
        return BY_NUMBER.get(number) or _of_the_system(error)
    for said, cure in BY_TEXT.items():
        if said in text:
            return cure
    return _of_a_library(error)


def _number_in(text: str) -> int | None:
    """Return the system's number of an error that a library written in Rust tells of."""
    found = re.search(r"\(os error (\d+)\)|\[Errno (\d+)\]", text)
    return int(found[1] or found[2]) if found else None


def _of_the_system(error: BaseException) -> str | None:
    if isinstance(error, ConnectionError):
        return "a server refused or hung up: start it again"
    return "the system refused" if isinstance(error, OSError) else None


def _of_a_library(error: BaseException) -> str | None:
    """Say what is to be done about errors of databases and of the way to a server."""
    bases = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    if "sqlalchemy.SQLAlchemyError" in bases:
        return "a database refused what it was asked: see whether it is well, and its address right"
    if "concurrent.BrokenProcessPool" in bases:
        return "a process ended under its task, mostly for want of memory: fewer (--runner-workers)"
    if "httpx.TransportError" in bases or "Failed to reach API" in str(error):
        return "a server did not answer: start it, or give another address"
    return None
