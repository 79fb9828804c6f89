"""Prefect's database: made by a script at a server's first start, as its own steps make it."""

import subprocess
import sys
from pathlib import Path

from prefect.settings import (
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_DATABASE_MIGRATE_ON_START,
    temporary_settings,
)

from flows.prefect_schema import go_through_steps, make_prefect_database, make_schema, script_of
from schemas.paths import sqlite_address

PROJECT = Path(__file__).parents[2]
RENEW = "Prefect has another schema now: python -m flows.prefect_schema writes its script"


def test_the_script_makes_what_prefects_own_steps_make(tmp_path: Path) -> None:
    by_steps, by_script = tmp_path / "steps.db", tmp_path / "script.db"
    go_through_steps(by_steps)
    make_schema(by_script)
    expected, made = (parts_of(script_of(file)) for file in (by_steps, by_script))
    assert made == expected, RENEW


def parts_of(script: str) -> list[str]:
    """Its lines in no order: Alembic keeps a table's constraints in sets when it makes it anew."""
    return sorted(line.strip("\t ,") for line in script.splitlines())


def made_by(address: str, **settings: bool) -> None:
    told = {PREFECT_SERVER_DATABASE_CONNECTION_URL: address}
    migrates = {PREFECT_SERVER_DATABASE_MIGRATE_ON_START: settings.get("migrates", True)}
    with temporary_settings({**told, **migrates}):
        make_prefect_database()


def test_it_is_made_where_there_is_none_and_where_prefect_would_make_it(tmp_path: Path) -> None:
    home = tmp_path / "a home?"
    made_by(sqlite_address(home / "prefect.db", "aiosqlite"))
    assert [file.name for file in home.iterdir()] == ["prefect.db"]
    assert script_of(home / "prefect.db").count("CREATE TABLE") > 20
    (home / "prefect.db").write_bytes(b"somebody's")
    made_by(sqlite_address(home / "prefect.db", "aiosqlite"))
    make_schema(home / "prefect.db")  # as one does that was slower
    assert (home / "prefect.db").read_bytes() == b"somebody's"
    made_by(sqlite_address(tmp_path / "other.db", "aiosqlite"), migrates=False)
    made_by("postgresql+asyncpg://nobody@127.0.0.1:9/prefect")
    assert {one.name for one in tmp_path.iterdir()} == {"a home?"}


def test_where_it_cannot_be_made_prefect_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made_by(sqlite_address(tmp_path / "file" / "prefect.db", "aiosqlite"))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_the_servers_own_settings_say_where(tmp_path: Path) -> None:
    """Where nothing is set but the home, as for most people."""
    program = "import flows.prefect_schema as schema; schema.make_prefect_database()"
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={"PREFECT_HOME": str(tmp_path)},
        check=True,
    )
    assert (tmp_path / "prefect.db").is_file()
