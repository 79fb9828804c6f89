"""A command is told to end, at any moment and in any way: it and all that it started are gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).parents[2]
SECONDS = 10
"""Within which all must be gone."""
SUPERVISED = (
    "from flows.commands.supervisor import supervise; supervise('grail'); import signal, time, os\n"
)


def python(program: str, **more: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISED + program],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,  # type: ignore[call-overload]
    )


def told(process: "subprocess.Popen[str]", *signals: signal.Signals) -> tuple[int, str]:
    """Send signals to what has said that it is ready; return its exit code and its last line."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for one in signals:
        process.send_signal(one)
    _, said = process.communicate(timeout=60)
    return process.returncode, said.splitlines()[-1] if said else ""


SWALLOWS = {
    "ignores it": "signal.signal(2, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
    "turns it into its own end": (
        "signal.signal(2, lambda *_: os._exit(0)); print('ready', flush=True); time.sleep(60)"
    ),
    "catches it": (
        "print('ready', flush=True)\nwhile True:\n try: time.sleep(60)\n except BaseException: 0"
    ),
    "is stopped": "print('ready', flush=True); os.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.mark.parametrize("program", SWALLOWS.values(), ids=SWALLOWS)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_signal_is_swallowed_by_what_works(program: str, sent: signal.Signals) -> None:
    begun = time.monotonic()
    code, said = told(python(program), sent)
    assert code == 128 + sent
    assert said.startswith(f"grail: interrupted by {sent.name}; ")
    assert time.monotonic() - begun < 30  # starting included


def test_the_first_of_several_signals_counts() -> None:
    code, said = told(python(SWALLOWS["catches it"]), signal.SIGINT, signal.SIGTERM)
    assert (code, "SIGINT" in said) == (130, True)


def test_without_a_signal_the_exit_code_is_what_worked_says() -> None:
    assert told(python("print('ready', flush=True); raise SystemExit(7)")) == (7, "")
    assert told(python("print('ready', flush=True)")) == (0, "")
    code, said = told(python("print('ready', flush=True); os.kill(os.getpid(), signal.SIGKILL)"))
    assert code == 128 + signal.SIGKILL
    assert said.startswith("grail: killed by SIGKILL")


def test_under_nohup_a_closed_terminal_is_no_reason_to_end() -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    waits = "print('ready', flush=True); time.sleep(1); raise SystemExit(3)"
    assert told(python(waits, preexec_fn=nohup), signal.SIGHUP) == (3, "")


def test_started_by_a_script_in_the_background_it_still_hears_ctrl_c() -> None:
    def background() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = python("print('ready', flush=True); time.sleep(60)", preexec_fn=background)
    assert told(process, signal.SIGINT)[0] == 130


# --- a night -----------------------------------------------------------------------------------


def command_of(process: psutil.Process) -> str:
    """Return its command; nothing of one that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


class Night:
    """A night with a Prefect server of its own, and all processes that were seen of it."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        command = [sys.executable, "-m", "flows", "nightly", "--scale", "0.02", "--root", str(root)]
        self.process = subprocess.Popen(
            [*command, "--models", "random,popularity"],
            cwd=PROJECT,
            env={
                **{name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"},
                "PREFECT_HOME": str(home),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.seen: set[psutil.Process] = set()

    def below(self, word: str) -> list[psutil.Process]:
        """Its living processes with a word in their command."""
        return [one for one in self.see() if word in command_of(one)]

    def see(self) -> list[psutil.Process]:
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self.seen.update(found)
        return found

    def until(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + 300
        while not is_so():
            assert self.process.poll() is None, "it ended before"
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    def gone(self) -> bool:
        """Whether all that was seen of it ends within the seconds it may take."""
        deadline = time.monotonic() + SECONDS
        self.process.wait(SECONDS)
        return not psutil.wait_procs(self.seen, timeout=max(0, deadline - time.monotonic()))[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's folder: its database is made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def begun(home: Path, tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path / "root", home)
    yield night
    night.process.kill()
    night.process.wait()
    night.process.stderr.close()  # type: ignore[union-attr]
    for one in night.seen:
        if one.is_running():
            one.kill()


MOMENTS: dict[str, Callable[[Night], object]] = {
    "at once": lambda night: night.see(),
    "while its server starts": lambda night: night.below("flows.commands.temporary_server"),
    "in mid-night": lambda night: [*night.root.glob("features/*/*")],
}


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        ("at once", signal.SIGINT),
        ("while its server starts", signal.SIGTERM),
        ("in mid-night", signal.SIGINT),
        ("in mid-night", signal.SIGHUP),
    ],
)
def test_a_night_is_gone_in_time_with_its_server(
    begun: Night, moment: str, sent: signal.Signals
) -> None:
    begun.until(lambda: MOMENTS[moment](begun))
    begun.see()
    begun.process.send_signal(sent)
    assert begun.gone()
    assert begun.process.returncode == 128 + sent
    assert begun.process.stderr is not None
    said = begun.process.stderr.read()
    assert said.splitlines()[-1] == (
        f"python -m flows nightly: interrupted by {sent.name};"
        " what was finished is kept, run again to go on"
    )
    assert "Traceback" not in said


@pytest.mark.parametrize("whom", ["the one that waits", "the one that works", "both"])
def test_a_killed_night_leaves_no_server_behind(begun: Night, whom: str) -> None:
    begun.until(lambda: begun.below("flows.commands.temporary_server"))
    waits = psutil.Process(begun.process.pid)
    (works,) = waits.children()
    for one in {"the one that waits": [waits], "the one that works": [works]}.get(
        whom, [waits, works]
    ):
        one.kill()
    assert begun.gone()
