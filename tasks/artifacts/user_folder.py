"""The folder of this user on this machine for what can be fetched or found again."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from schemas.errors import StoreError
from schemas.paths import absolute

FOLDER = "GRAIL_CACHE_DIR"
"""Environment variable with the folder; otherwise ``grail`` where caches of this user are."""


def folder_of_user() -> Path:
    """Return where a user's cache is, by the environment."""
    given = os.environ.get(FOLDER) or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/grail"
    parent, name = os.path.split(given.rstrip("/"))
    return absolute(parent) / name  # a link in its own place is looked at, not followed


def own_folder(folder: Path) -> Path:
    """Make a folder of this user, theirs alone, or take the one that is there.

    StoreError if somebody has put something else in its place, such as a link to where they would
    like the files to go.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_own or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"{folder} is not a folder that belongs to you and that you alone may write: what a"
            " remote root keeps on this machine would be in the hands of others. Remove it, or"
            f" choose another folder with {FOLDER}"
        )
    folder.chmod(0o700)
    return folder
