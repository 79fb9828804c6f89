"""A root that was moved: MLflow's database in it says where its files were, and is told where now.

MLflow keeps absolute addresses. With the former ones, a night would write into the old place, or
not find what it has logged. Databases that are not beside their files are left alone.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.addresses import without_secrets
from schemas.errors import TrackingError

logger = logging.getLogger(__name__)

FILES = "mlflow-artifacts"
"""Folder beside the database in which MLflow keeps files."""

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns with ``file:`` addresses of what is in that folder."""

SECONDS = 120.0
"""How long a database that another program has locked is waited for."""


def follow_root(file: Path) -> None:
    """Where a root with its database was moved here, let the database name its files here.

    All of it or nothing, in one transaction. TrackingError if the database cannot be written.
    """
    root = file.parent
    if not (root / FILES).is_dir():
        return
    address = f"{file.as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=SECONDS, isolation_level=None)) as base:
        if not (former := former_roots(base, root)):
            return
        try:
            base.execute("BEGIN IMMEDIATE")
            for old in former_roots(base, root):  # another process may have been faster
                rename(base, old, root)
            base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise TrackingError(
                f"{root} was moved here from {former[0]}, and MLflow's database in it, which names"
                f" its files there, cannot be changed ({error}): move it back, or make {file}"
                " writable"
            ) from error
    logger.warning("%s was moved here from %s: MLflow's database follows", root, former[0])


def former_roots(base: sqlite3.Connection, root: Path) -> list[Path]:
    """Return the roots other than this one in which experiments kept files that are here now."""
    rows = base.execute("SELECT artifact_location FROM experiments").fetchall()
    paths = [Path(unquote(urlsplit(at).path)) for (at,) in rows if (at or "").startswith("file:")]
    # the experiment that MLflow expects everywhere has a folder of its own in there
    held = [p if p.name == FILES else p.parent for p in paths]
    others = {p.parent for p in held if p.name == FILES} - {root}
    return sorted(other for other in others if has_come(base, other, root))


def has_come(base: sqlite3.Connection, old: Path, new: Path) -> bool:
    """Whether files of runs are under the new root that lay under the old one.

    A database may stand beside a folder of files that are not its own. Where there are no runs with
    files, it is enough that the old root is gone.
    """
    rows = base.execute("SELECT artifact_uri FROM runs").fetchall()
    paths = (
        Path(unquote(urlsplit(uri).path)) for (uri,) in rows if (uri or "").startswith("file:")
    )
    own = [path.relative_to(old) for path in paths if path.is_relative_to(old)]
    return any((new / path).exists() for path in own) if own else not old.exists()


def rename(base: sqlite3.Connection, old: Path, new: Path) -> None:
    """Replace one root by another in everything that MLflow would open."""
    for table, column in ADDRESSES:
        replace_start(base, table, column, f"{old.as_uri()}/", f"{new.as_uri()}/")
    # what a run has learned from: {"uri": "/path"}
    start = '{"uri": '
    given = (f"{start}{json.dumps(f'{path}/')[:-1]}" for path in (old, new))
    replace_start(base, "datasets", "dataset_source", *given)


def replace_start(base: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    """Replace what the texts of a column start with."""
    base.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608  # names of ours
        f" WHERE substr({column}, 1, ?) = ?",
        (new, len(old) + 1, len(old), old),
    )


def check_files(experiment: str, location: str, address: str) -> None:
    """TrackingError if an experiment keeps its files in a folder of a root that is not there.

    Of a root that is there the folder may be missing: it is made with its first file, and whoever
    made the experiment may have been killed before that.
    """
    path = Path(unquote(urlsplit(location).path))
    # behind a server an experiment has a folder of its own in there
    made_in = path.parent.parent if path.parent.name == FILES else path.parent
    if location.startswith("file:") and not path.exists() and not made_in.exists():
        raise TrackingError(
            f"MLflow at {without_secrets(address)} keeps the files of experiment {experiment} in"
            f" {path}, and {made_in} is not there: move or mount it back, or give another"
            " address with --tracking-uri"
        )
