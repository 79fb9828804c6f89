"""All that `python -m flows.up` starts, once a module."""

from collections.abc import Iterator

import pytest

from tests.integration.up_process import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """All of it, up; the last test of it stops it."""
    one = Up(tmp_path_factory.mktemp("up") / "the root")  # a blank in it is a person's right
    try:
        one.wait_until_up()
        yield one
    finally:
        one.kill()
