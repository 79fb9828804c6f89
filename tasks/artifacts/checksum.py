"""The SHA-256 of a file of any size, while other threads are at work too."""

import hashlib
from typing import BinaryIO

READ_AT_ONCE = 2**23
"""Bytes between two turns of Python's lock, for which a hashing thread waits whenever another runs.

``hashlib.file_digest`` takes a turn every 256 KiB: beside a busy thread it needs 20 times as long.
"""


def sha256_of(stream: BinaryIO) -> str:
    """Return the SHA-256 of what is left in ``stream``, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    while piece := stream.read(READ_AT_ONCE):
        digest.update(piece)
    return digest.hexdigest()
