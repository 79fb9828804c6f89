"""The checksum of a file, whatever its size, is the one that every other tool computes."""

import hashlib

import pytest

from tasks.artifacts.checksum import READ_AT_ONCE, sha256_of


@pytest.mark.parametrize("size", [0, 1, READ_AT_ONCE, READ_AT_ONCE + 1])
def test_it_is_that_of_the_whole_content(tmp_path, size):
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    file = tmp_path / "file"
    file.write_bytes(content)
    with file.open("rb") as stream:
        assert sha256_of(stream) == hashlib.sha256(content).hexdigest()
