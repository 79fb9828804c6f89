"""Which layout the artefacts of a root have: what an earlier one wrote is made anew, and said so.

Words of manifests, tables and folders change between versions of this project. What another
version wrote has other fingerprints and is never read; this says so once, instead of leaving a
person to wonder why a night that was there is made again.
"""

import logging
from typing import Protocol

from schemas.errors import StoreError

logger = logging.getLogger(__name__)

LAYOUT = 3
"""Raised by whoever renames tables, columns, stages or fields of a manifest. 1 had no mark."""

MARK = ".grail-layout"
"""File in a root with the number of its layout."""


class Files(Protocol):
    """What keeps the small files of a root."""

    root: str

    def read(self, path: str) -> bytes:
        """Return what is in a file; FileNotFoundError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file over what is there."""

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder."""


def settle_layout(files: Files) -> None:
    """Mark a root with this version's layout; say it where an earlier one wrote there.

    Two machines that do so at once write the same. StoreError if a later version did: it is not for
    this one to make its artefacts anew.
    """
    root, found = files.root, layout_of(files)
    if found is not None and found > LAYOUT:
        raise StoreError(
            f"root {root} was written by a later version of Grail (layout {found}, this one has"
            f" {LAYOUT}): run that version, or give another --root"
        )
    if found is not None and found < LAYOUT:
        logger.warning(
            "root %s was written by an earlier version of Grail (layout %d, now %d): its tables and"
            " models are made anew. Nothing of the former ones is read any more, or deleted",
            root,
            found,
            LAYOUT,
        )
    if found != LAYOUT:
        files.write(f"{root}/{MARK}", f"{LAYOUT}\n".encode())


def layout_of(files: Files) -> int | None:
    """Return the layout of a root; None where nothing was written yet.

    StoreError if its mark is damaged.
    """
    root = files.root
    try:
        text = files.read(f"{root}/{MARK}")
    except FileNotFoundError:
        # the first thing that a night makes, whichever version it is of
        return 1 if files.names(f"{root}/ingest") else None
    try:
        return int(text)
    except ValueError as error:
        raise StoreError(
            f"{root}/{MARK} is damaged: it should hold the number of the root's layout. Remove it,"
            " and all artefacts are looked at as those of the first layout"
        ) from error
