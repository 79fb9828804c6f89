"""Faults at steps of what comes into a root: survived, all of them; and that a loss is seen."""

from pathlib import Path

from tests.fault_table import Row, Survey, total
from tests.faults import Steps, Stretch
from tests.integration import forked
from tests.store_stretches import store_stretches


def strike_publishing(folder: Path) -> None:
    """Strike at some steps on a root of this machine and on one elsewhere, and say what was lost.

    In a process that has no threads yet.
    """
    for stretch in store_stretches()[:2]:
        row = Survey(stretch, folder / stretch.name).row(every=25)
        (folder / stretch.endings[-1]).write_text(f"{total([row])} {row.lost}")


def test_what_is_published_survives_any_fault_on_this_machine_and_elsewhere(tmp_path: Path) -> None:
    process = forked.CONTEXT.Process(target=strike_publishing, args=(tmp_path,))
    process.start()
    process.join()
    said = [file.read_text() for file in tmp_path.iterdir() if file.is_file()]
    assert len(said) == 2
    assert all(text.endswith("survived, 0 lost []") for text in said), said


def test_a_loss_is_seen_and_said(tmp_path: Path) -> None:
    """Of a stretch that does twice what it was killed after."""

    def work(folder: Path) -> None:
        with (folder / "log").open("a") as log:
            log.write("done ")
        (folder / "mark").write_text("")

    def nothing(_: Path) -> None:
        """There is nothing to begin with, or to check."""

    def found(folder: Path) -> str:
        return (folder / "log").read_text()

    def steps(folder: Path) -> Steps:
        return Steps(within=str(folder))

    stretch = Stretch("a log", nothing, work, nothing, found, steps, ("killed", "exception"))
    row = Survey(stretch, tmp_path).row(every=1)
    assert (row.steps, len(row.lost)) == (2, 2)
    assert row.lost[0].startswith("killed at step 2: done done ")
    assert total([row, Row("another", 1, {"killed": [""]})]) == (
        "5 faults injected, 3 survived, 2 lost"
    )
