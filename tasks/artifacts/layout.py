"""Which layout the artefacts of a root have: what an earlier one wrote is made anew, and said so.

Words of manifests, tables and folders change between versions of this project. What another
version wrote has other fingerprints and is never read; this says so once, instead of leaving a
person to wonder why a night that was there is made again.
"""

import logging

import fsspec

from schemas.errors import StoreError

logger = logging.getLogger(__name__)

LAYOUT = 3
"""Raised by whoever renames tables, columns, stages or fields of a manifest. 1 had no mark."""

MARK = ".grail-layout"
"""File in a root with the number of its layout."""


def settle_layout(fs: fsspec.AbstractFileSystem, root: str) -> None:
    """Mark a root with this version's layout; say it where an earlier one wrote there.

    StoreError if a later version did: it is not for this one to make its artefacts anew.
    """
    found = layout_of(fs, root)
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
        fs.pipe_file(f"{root}/{MARK}", f"{LAYOUT}\n".encode())


def layout_of(fs: fsspec.AbstractFileSystem, root: str) -> int | None:
    """Return the layout of a root; None where nothing was written yet.

    StoreError if its mark is damaged.
    """
    try:
        text = fs.cat_file(f"{root}/{MARK}")
    except FileNotFoundError:
        # the first thing that a night makes, whichever version it is of
        return 1 if fs.exists(f"{root}/ingest") else None
    try:
        return int(text)
    except ValueError as error:
        raise StoreError(
            f"{root}/{MARK} is damaged: it should hold the number of the root's layout. Remove it,"
            " and all artefacts are looked at as those of the first layout"
        ) from error
