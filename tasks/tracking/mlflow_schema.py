"""The schema of MLflow's SQLite database, as a script: what MLflow's own steps end in.

A new database goes through some seventy steps, which take longer than many a night's models. The
script is what they end in for one version of the schema; of another MLflow, the steps are gone
through. As a command, this writes the script anew: tests/integration/test_tracking_database.py
says when that is due.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from schemas.paths import sqlite_address

SCRIPT = Path(__file__).with_name("mlflow_schema.sql")


@cache
def schema_revisions() -> tuple[str, ...]:
    """Return the schemas that the installed MLflow knows, its own first."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config  # MLflow has no public way to ask

    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    return tuple(script.revision for script in scripts.walk_revisions())


def make_schema(new: Path) -> None:
    """Give an empty database the installed MLflow's schema, and no rows of people's."""
    script = SCRIPT.read_text(encoding="utf-8")
    if f"VALUES('{schema_revisions()[0]}')" in script:
        with closing(sqlite3.connect(new)) as database:
            database.executescript(script)
    else:
        go_through_steps(new)


def go_through_steps(new: Path) -> None:
    """Make the schema as MLflow does: its first version, and each change of it since."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
    from sqlalchemy import event

    engine = create_sqlalchemy_engine(sqlite_address(new))
    # Seventy steps need not reach the disk one by one: nobody sees them before the last
    event.listen(engine, "connect", lambda found, _: found.execute("PRAGMA synchronous = OFF"))
    _initialize_tables(engine)
    engine.dispose()


def script_of(file: Path) -> str:
    """Return the statements that make a database as it is, one a line where they are short."""
    with closing(sqlite3.connect(file)) as database:
        return "".join(f"{statement}\n" for statement in database.iterdump())


def main() -> None:
    """Write the script of the installed MLflow."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        go_through_steps(file)
        SCRIPT.write_text(script_of(file), encoding="utf-8")


if __name__ == "__main__":
    main()
