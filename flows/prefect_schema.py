"""The schema of Prefect's SQLite database, as a script: what Prefect's own steps end in.

A new database goes through a hundred steps, which take longer than all else of a server's start.
The script is what they end in for the least version of Prefect that this project takes; what a
newer one has changed since, Prefect does itself when it opens the database. As a command, this
writes the script anew: tests/integration/test_prefect_database.py says when that is due.
"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from schemas.paths import sqlite_address, sqlite_file

SCRIPT = Path(__file__).with_name("prefect_schema.sql")


def make_prefect_database() -> None:
    """Make the SQLite database that Prefect is told to use, if there is none yet.

    Where that cannot be, nothing is made: Prefect says why, or makes it in its own way.
    """
    from prefect.settings import get_current_settings

    database = get_current_settings().server.database
    address = database.connection_url
    file = None if address is None else sqlite_file(address.get_secret_value())
    if file is not None and database.migrate_on_start and not file.exists():
        with suppress(OSError, sqlite3.Error):
            make_schema(file.absolute())


def make_schema(file: Path) -> None:
    """Make a database with the schema, whole or not at all; one that is there meanwhile stays.

    OSError, sqlite3.Error: it cannot be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        new = Path(folder) / file.name
        with closing(sqlite3.connect(new)) as database:
            database.executescript(SCRIPT.read_text(encoding="utf-8"))
        with suppress(FileExistsError):  # another server was faster; a rename would take its place
            file.hardlink_to(new)


def script_of(file: Path) -> str:
    """Return the statements that make a database as it is."""
    with closing(sqlite3.connect(file)) as database:
        return "".join(f"{statement}\n" for statement in database.iterdump())


def go_through_steps(file: Path) -> None:
    """Make the database of a file as Prefect does."""
    from prefect.server.database import provide_database_interface
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

    address = sqlite_address(file, "aiosqlite")
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: address}):
        asyncio.run(provide_database_interface().create_db())


def main() -> None:
    """Write the script of the installed Prefect."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.db"
        go_through_steps(file)
        SCRIPT.write_text(script_of(file), encoding="utf-8")


if __name__ == "__main__":
    main()
