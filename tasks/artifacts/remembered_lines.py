"""What a file remembers from one process to the next.

Each value is a line, added at once, so that processes that run together share the file. A line that
was cut off or damaged says nothing, and where the file cannot be written nothing is remembered:
whoever asks must be able to find out anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


class RememberedLines:
    """Values as JSON in a file, one a line, each under a seal."""

    def __init__(self, file: Path, most_bytes: int) -> None:
        """Name the file; when it is longer than ``most_bytes``, its older half is forgotten."""
        self.file = file
        self._most_bytes = most_bytes

    def read(self) -> Iterator[Any]:
        """Yield what whole lines say, the oldest first; nothing where there is no file."""
        try:
            lines = self.file.read_bytes().splitlines(keepends=True)
            if sum(map(len, lines)) > self._most_bytes:
                lines = lines[len(lines) // 2 :]
                part = self.file.with_name(f"{self.file.name}.{os.getpid()}.part")
                part.write_bytes(b"".join(lines))
                part.replace(self.file)
        except OSError:
            return
        yield from _understood(lines)

    def add(self, value: Any) -> None:
        """Remember a value that JSON can write; not where the file cannot be written."""
        line = json.dumps(value)
        with suppress(OSError), self.file.open("ab", buffering=0) as memory:
            memory.write(f"{_seal(line)} {line}\n".encode())


def _understood(lines: list[bytes]) -> Iterator[Any]:
    for one in lines:
        seal, _, line = one.decode(errors="replace").rstrip("\n").partition(" ")
        if seal == _seal(line):
            yield json.loads(line)


def _seal(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:16]
