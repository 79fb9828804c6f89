"""Which files a log had at the last run: one that is gone, or is another now, is no new day.

``ROOT/log_files/<hash of their folder>.json``: name to checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.artifacts import SourceFile
from tasks.artifacts.backend import Backend

MOST_NAMED = 5


class FilesBefore:
    """The files of a log now, and what was noted of those in the same folder."""

    def __init__(self, backend: Backend, files: Sequence[SourceFile]) -> None:
        """Take the files of one folder; nothing is read yet."""
        folder = hashlib.sha256(str(Path(files[0].path).parent).encode()).hexdigest()[:16]
        self._backend = backend
        self._path = f"{backend.root}/log_files/{folder}.json"
        self._now = {Path(file.path).name: file.content for file in files}

    def differences(self) -> Iterator[str]:
        """Say which files are gone, and which are others, a line each; nothing of new ones."""
        before = self._noted()
        gone = [name for name in before if name not in self._now]
        changed = [n for n, content in self._now.items() if before.get(n, content) != content]
        if gone:
            yield (
                f"{_named(gone)} of the log that were there at the last run are missing: what was"
                " made of them is made again without"
            )
        if changed:
            yield f"{_named(changed)} of the log are others now: all made of them is made again"

    def keep(self) -> None:
        """Note the files for the next run."""
        if self._noted() != self._now:
            text = json.dumps(self._now, indent=1, sort_keys=True) + "\n"
            self._backend.write(self._path, text.encode())

    def _noted(self) -> dict[str, str]:
        try:
            noted = json.loads(self._backend.read(self._path))
        except (FileNotFoundError, ValueError):  # a note that is not whole is none
            return {}
        return noted if isinstance(noted, dict) else {}


def _named(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED
    listed = ", ".join(sorted(names)[:MOST_NAMED])
    return f"{len(names)} files ({listed}{f' and {rest} more' if rest > 0 else ''})"
