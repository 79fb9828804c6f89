"""What was found about the code, remembered from one process to the next in the user's cache.

To parse the code and follow its names takes a second of every command. What was found holds as long
as no byte of the code has changed and the same Python parses it.
"""

from __future__ import annotations

import sys
from functools import cached_property

from schemas.errors import StoreError
from tasks.artifacts.remembered_lines import RememberedLines
from tasks.artifacts.user_folder import folder_of_user, own_folder

FILE = "code"
MOST_BYTES = 2**17
"""About ten states of the code."""

Roots = tuple[tuple[str, str], ...]
"""Where the code begins: dotted module and name of each."""


class RememberedCode:
    """What processes have found behind roots: a hash of the code, and the libraries it imports.

    It is neither read nor written where the cache is not the user's alone, or cannot be made.
    """

    def __init__(self, state: str) -> None:
        """Remember what holds for one ``state`` of all the code."""
        self._state = f"{state}, Python {sys.version}"

    def get(self, roots: Roots) -> tuple[str, list[str]] | None:
        """Return what was found before this process began to ask; None if nothing was."""
        return self._known.get(roots)

    def keep(self, roots: Roots, code: str, libraries: list[str]) -> None:
        """Remember what was found."""
        if self._lines is not None:
            self._lines.add([self._state, roots, code, libraries])

    @cached_property
    def _lines(self) -> RememberedLines | None:
        try:
            return RememberedLines(own_folder(folder_of_user()) / FILE, MOST_BYTES)
        except (OSError, StoreError):
            return None

    @cached_property
    def _known(self) -> dict[Roots, tuple[str, list[str]]]:
        known = {}
        for state, *found in self._lines.read() if self._lines else ():
            if state == self._state:  # only then is it this code that wrote the rest
                roots, code, libraries = found
                known[tuple((dotted, name) for dotted, name in roots)] = code, libraries
        return known
