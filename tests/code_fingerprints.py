"""Code fingerprints as a process finds them that has just started."""

from tasks.artifacts import code_fingerprint


def forget() -> None:
    """Let nothing that this process has read of the code be remembered by it."""
    for cached in ("_code_version", "_memory", "_follow", "_parse"):
        getattr(code_fingerprint, cached).cache_clear()
