"""What all tests share: the environment of the flows, and one real Prefect server a session."""

import os
import signal
import time

os.environ["TZ"] = "UTC"
time.tzset()
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, all that tests start would ignore it

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

import flows  # noqa: E402, F401  # settles the environment before anything is imported

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
def prefect_server() -> Iterator[str]:
    """A real Prefect server on a database of its own; gives its address for other processes."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def real_slice() -> Path:
    """Real rows of KuaiRec in the official layout; tests that need them skip where they are not."""
    if not SLICE.is_dir():
        pytest.skip("the slice of real rows is not here")
    return SLICE
