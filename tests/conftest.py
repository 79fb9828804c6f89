"""What all tests share: the environment of the flows, and one real Prefect server a session."""

import os
import signal
import time

os.environ["TZ"] = "UTC"
time.tzset()
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, all that tests start would ignore it

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

import flows  # noqa: E402, F401  # settles the environment before anything is imported
from flows.environment import PREFECT_DATABASE  # noqa: E402
from schemas.paths import sqlite_address  # noqa: E402

# The same examples on every run, however busy the machine
settings.register_profile("grail", deadline=None, derandomize=True)
settings.load_profile("grail")

INTEGRATION = Path(__file__).parent / "integration"
SLICE = Path(__file__).parents[2] / "shared" / "data" / "kuairec-slice"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server or TensorFlow; what needs a server comes first, as it is long.

    A server: all of integration, and whoever asks for Prefect's. TensorFlow: its import alone takes
    longer than most files of tests.
    """
    for item in items:
        fixtures = item.fixturenames if isinstance(item, pytest.Function) else ()
        if item.path.is_relative_to(INTEGRATION) or "prefect_server" in fixtures:
            item.add_marker("server")
        if "two_tower" in item.nodeid:
            item.add_marker("tensorflow")
    items.sort(key=lambda item: item.get_closest_marker("server") is None)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real Prefect server on a database of its own; gives its address for other processes.

    It ends with this process, as a command's does: Prefect's threads send to it until then.
    """
    from prefect.context import refresh_global_settings_context

    from flows.commands.temporary_server import TemporaryServer

    folder = tmp_path_factory.mktemp("prefect")
    database = {PREFECT_DATABASE: sqlite_address(folder / "prefect.db", "aiosqlite")}
    server = TemporaryServer({**os.environ, **database}, folder / "server.log")
    server.wait(120)
    address = f"{server.address}/api"
    with pytest.MonkeyPatch.context() as environment:  # of this process: commands have their own
        environment.setenv("PREFECT_API_URL", address)
        refresh_global_settings_context()
    return address


@pytest.fixture(scope="session")
def real_slice() -> Path:
    """Real rows of KuaiRec in the official layout; tests that need them skip where they are not."""
    if not SLICE.is_dir():
        pytest.skip("the slice of real rows is not here")
    return SLICE
