"""MLflow's SQLite database: made whole or not at all, and looked at before MLflow opens it.

MLflow makes a new database in its place, in some seventy steps; killed between two of them, it
leaves one that no later start can open. Here it is made beside its place and renamed, by the script
of ``tasks.tracking.mlflow_schema`` in one step. The databases of servers (Postgres and others) are
for those who run them to make.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from schemas.errors import TrackingError
from schemas.paths import sqlite_address, sqlite_file
from tasks.artifacts.locks import flush, locked
from tasks.tracking.mlflow_schema import make_schema, schema_revisions
from tasks.tracking.moved_root import follow_root

logger = logging.getLogger(__name__)

LOCK_SECONDS = 120.0
"""How long a database that another program has locked is waited for."""

MLFLOWS = {"experiments", "runs", "metrics", "params", "tags", "alembic_version"}
"""Tables that MLflow has had since its first schema: a database with one of them is its own."""


@dataclass(frozen=True)
class Found:
    """What is in a file: the names of its tables (none: nothing yet) and MLflow's schema."""

    tables: frozenset[str] = frozenset()
    revision: str | None = None


def prepare_database(address: str) -> None:
    """Make the SQLite database of an address, or bring its schema up to date, where that is due.

    A locked database is waited for. TrackingError if the file is no whole database of MLflow's:
    what it is, and what to do.
    """
    named = sqlite_file(address)
    file = None if named is None else named.absolute()
    if file is None:
        return
    try:
        if not _is_current(file, look_into(file)):
            with locked(file.with_name(f".{file.name}.lock")):
                _make(file)
        follow_root(file)
    except sqlite3.Error as error:
        raise TrackingError(_damaged(file, error)) from error
    except OSError as error:
        raise TrackingError(f"cannot make {file}, MLflow's database: {error}") from error


def _make(file: Path) -> None:
    found = look_into(file)
    if not _is_current(file, found):  # otherwise another process was faster
        new = file.with_name(f".{file.name}.new")
        new.unlink(missing_ok=True)  # what a killed start has left
        _remove_journals(new)
        if found.tables:
            _upgrade(file, new, found)
        else:
            _initialise(new)
        _remove_journals(file)  # SQLite would play an old one back into the new database
        flush(new)
        new.rename(file)
        flush(file.parent)


def look_into(file: Path) -> Found:
    """Say what is in a database file, once nobody has it locked; TrackingError if it is damaged."""
    if not file.exists():
        return Found()
    deadline = time.monotonic() + LOCK_SECONDS
    is_told = False
    while True:
        try:
            return _look(file)
        except sqlite3.DatabaseError as error:
            if _kind(error) != sqlite3.SQLITE_BUSY:
                raise TrackingError(_damaged(file, error)) from error
            if time.monotonic() > deadline:
                raise TrackingError(
                    f"{file} has been locked by another program for {LOCK_SECONDS:.0f} s: end that"
                    f" (fuser {file} names it) and run again; what was computed is kept"
                ) from error
        if not is_told:
            logger.warning(
                "%s is locked by another program: waiting up to %.0f s", file, LOCK_SECONDS
            )
            is_told = True


def _look(file: Path) -> Found:
    # A URI with a mode makes nothing where there is nothing
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=1)) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = frozenset(name for (name,) in names)
        revisions = []
        if "alembic_version" in tables:
            revisions = database.execute("SELECT version_num FROM alembic_version").fetchall()
        try:
            database.executescript("BEGIN IMMEDIATE; ROLLBACK")  # can one write?
        except sqlite3.OperationalError as error:
            if _kind(error) != sqlite3.SQLITE_READONLY:  # enough to recommend from
                raise
        return Found(tables, str(revisions[0][0]) if revisions else None)


def _is_current(file: Path, found: Found) -> bool:
    """Whether there is all that this MLflow needs; TrackingError if it could not be made so."""
    if not found.tables:
        return False
    if not found.tables & MLFLOWS:
        raise TrackingError(
            f"{file} is the database of another program, with the tables"
            f" {', '.join(sorted(found.tables)[:5])}: move it away, or keep MLflow's runs elsewhere"
            " with --tracking-uri"
        )
    revisions = schema_revisions()
    if found.revision is not None and found.revision not in revisions:
        raise TrackingError(
            f"{file} was written by a newer MLflow, its schema is {found.revision}: use that one,"
            " or keep MLflow's runs elsewhere with --tracking-uri"
        )
    return found.revision == revisions[0]


def _initialise(new: Path) -> None:
    """Make an empty database of MLflow's, with the experiment that it expects in every one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    make_schema(new)
    store = SqlAlchemyStore(sqlite_address(new), (new.parent / "mlflow-artifacts").as_uri())
    store.engine.dispose()


def _upgrade(file: Path, new: Path, found: Found) -> None:
    """Make a copy with the schema of this MLflow; one as it was stays beside it, too."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    kept = file.with_name(f"{file.name}.{found.revision or 'old'}")
    _copy(file, new)
    engine = create_sqlalchemy_engine(sqlite_address(new))
    try:
        _initialize_tables(engine)
    except DBAPIError as error:
        if not isinstance(error.orig, sqlite3.Error) or _kind(error.orig) != sqlite3.SQLITE_ERROR:
            raise  # of the disk, not of the schema
        new.unlink()
        raise TrackingError(
            f"{file} is a half-made database of MLflow's, left by a start that was killed:"
            f" {_cure(file)}"
        ) from error
    finally:
        engine.dispose()
    _copy(file, kept)
    logger.warning("%s has the schema of this MLflow now; as it was, it is kept as %s", file, kept)


def _copy(file: Path, to: Path) -> None:
    to.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(to)) as copy:
        old.backup(copy)


def _kind(error: sqlite3.Error) -> int:
    """SQLite's code of an error, less what tells kinds of that kind apart."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _damaged(file: Path, error: sqlite3.Error) -> str:
    if _kind(error) in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return f"{file} is no whole SQLite database ({error}): {_cure(file)}"
    return f"{file}, MLflow's database, cannot be used: {error}. This user must be able to write it"


def _cure(file: Path) -> str:
    return (
        f"put a copy in its place, or move it away (mv '{file}' '{file}.damaged') and run again:"
        " a new one is made, without the runs and champions that this one held"
    )


def _remove_journals(file: Path) -> None:
    for end in ("-journal", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
