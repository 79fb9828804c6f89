"""Nights and a pruning at once, while MLflow's and Prefect's servers are killed and come again."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration import forked
from tests.served_root import LIMIT_SECONDS, Ended, ServedRoot
from tests.servers_killed import FIRST, NIGHTS, play

pytestmark = pytest.mark.filterwarnings("default")  # Prefect, MLflow and what they import warn


class ForkedCommands(ServedRoot):
    """Runs commands in processes that are forked, which takes a third of the time."""

    def ending(self, words: Sequence[str]) -> Ended:
        said = Path(tempfile.mkstemp(dir=self.root.parent)[1])
        places = ("--root", str(self.root), "--tracking-uri", self.mlflow.address)
        process = forked.start(*words, *places, server=f"{self.prefect.address}/api", said=said)
        process.join(LIMIT_SECONDS)
        code = process.exitcode
        process.kill()  # one that hangs
        return Ended(words, code, said.read_text())


@pytest.mark.timeout(900)
def test_after_servers_were_killed_under_equal_nights_and_a_pruning_nothing_of_it_is_seen(
    tmp_path: Path,
) -> None:
    """A small round of ``python -m tests.servers_killed``."""
    served = ForkedCommands(tmp_path, [FIRST], [NIGHTS[0]])
    row = play(served, 1, [NIGHTS[0], NIGHTS[0]])
    assert min(row.kills) > 0
    assert row.lost == []
