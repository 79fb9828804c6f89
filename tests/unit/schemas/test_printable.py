"""Text of others commands no terminal: captions, file names, what servers say."""

import ast
import logging
from pathlib import Path

import pytest
from rich.cells import cell_len

from flows.commands.terminal import say
from schemas.printable import printable
from tasks.serving.explanation_text import Line, Names, as_text

ROOT = Path(__file__).parents[3]
TITLE = "\x1b]0;owned\x07"
"""Sets the title of most terminals."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TITLE, r"\x1b]0;owned\x07"),
        ("over\rwritten", r"over\rwritten"),
        ("\x00\x7f\x9b31m", r"\x00\x7f\x9b31m"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u2028b", r"a\u2028b"),
        ("\udcff.csv", r"\udcff.csv"),  # a byte of a file name that is no UTF-8
        ("two lines\n\tand a tab", "two lines\n\tand a tab"),
        ("美食, café 👍🏽", "美食, café 👍🏽"),
        ("", ""),
    ],
)
def test_what_commands_is_escaped_and_the_rest_stays(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode()  # can be written


def test_a_command_prints_it_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say("a caption", TITLE)
    say(TITLE, on_stderr=True)
    printed = capsys.readouterr()
    assert printed.out == "a caption\n\\x1b]0;owned\\x07\n"
    assert printed.err == "\\x1b]0;owned\\x07\n"


def test_nothing_else_prints() -> None:
    for file in [*(ROOT / "flows").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]:
        calls = (n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call))
        prints = [call for call in calls if ast.unparse(call.func) in {"print", "sys.stdout.write"}]
        assert not prints or file.name == "terminal.py", file


@pytest.mark.parametrize("logger", ["tasks.ingest.task", "prefect.flow_runs", "elsewhere"])
def test_a_log_says_it_escaped(logger: str, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(logger).warning("%s is missing: %d files", TITLE, 2)
    assert caplog.messages == [r"\x1b]0;owned\x07 is missing: 2 files"]


def test_captions_and_tags_are_escaped_and_fit_their_column() -> None:
    line = Line(1, 14, 0.5, None, None, tags=[TITLE, "美食"], caption=TITLE * 9)
    text = as_text("user 14", [line], Names([], [], {}))
    assert printable(text) == text
    assert r"\x1b]0" in text
    assert max(map(cell_len, text.splitlines())) <= 100
