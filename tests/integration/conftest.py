"""All that `python -m flows up` starts, once a module."""

import sys
from collections.abc import Iterator

import pytest

from flows.dev_stack.credentials import PASSWORD, USER
from tests.integration.up_process import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """All of it, up; the last test of it stops it."""
    one = Up(tmp_path_factory.mktemp("up") / "the root")  # a blank in it is a person's right
    try:
        one.wait_until_up()
        with pytest.MonkeyPatch.context() as environment:
            for name, part in zip((USER, PASSWORD), one.login, strict=True):
                environment.setenv(name, part)  # MLflow's client takes it from there alone
            yield one
    finally:
        one.kill()


@pytest.fixture(scope="module", autouse=True)
def no_registry_of_another_night() -> None:
    """Let a module's clients find the registry beside their runs, not a former module's."""
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_registry_uri(None)
