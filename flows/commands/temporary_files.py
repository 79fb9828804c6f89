"""Work on a root: nothing is pruned beside it, and its temporary files are on the root's disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.artifacts.store import Store


@contextmanager
def temporary_files_under(root: str) -> Iterator[None]:
    """Let all temporary files, also those of libraries and of what is started, lie in staging.

    A pruning of the root waits for the end of this, and this for the end of a pruning.
    """
    former, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    store = Store(root)
    store.check_access()
    with store.at_work(), store.scratch() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            tempfile.tempdir = former
            if variable is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = variable
