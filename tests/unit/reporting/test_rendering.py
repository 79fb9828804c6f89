"""What is printed: of one width, whole where it is copied, bold only where a terminal shows it."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from tasks.reporting.rendering import rendered, table

PROJECT = Path(__file__).parents[3]
TITLE = "\x1b]0;owned\x07"
MARKUP = "[bold red]loud[/] :smile: [link=http://evil.example]here[/link] https://grail.lan 1.5"
COMMAND = "open:     " + "/a/long/path" * 20


def test_columns_stand_below_their_headers() -> None:
    shown = rendered([table(("model", "NDCG@10", "note"), [("als", ".3", "-")], left=("note",))])
    assert shown == "model  NDCG@10  note\n  als       .3  -"


def test_lines_are_whole_and_nothing_ends_in_blanks() -> None:
    wide = table(("a", "b"), [("x", "")], left=("a", "b"))
    assert rendered(["", COMMAND, wide]) == f"\n{COMMAND}\na  b\nx"


@pytest.mark.parametrize("styled", [False, True])
def test_text_of_others_is_neither_markup_nor_a_command(styled: bool) -> None:
    said = rendered([MARKUP, TITLE, table(("of",), [(MARKUP,), (TITLE,)])], styled=styled)
    assert said.count(MARKUP) == 2
    assert said.count(r"\x1b]0;owned\x07") == 2
    assert "\x1b]" not in said
    assert "\x07" not in said
    assert ("\x1b[" in said) is styled  # the header's own


def test_the_width_is_the_same_wherever_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["山水" * 30, "x" * 60]
    first = rendered([table(("a", "b"), [row])])
    for name, value in {"COLUMNS": "40", "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    assert rendered([table(("a", "b"), [row])]) == first
    assert max(map(cell_len, first.split("\n"))) <= 100


PROGRAM = """
from flows.commands.terminal import show
from tasks.reporting.rendering import table
show(["a night", table(("model",), [("als",)])])
"""


@pytest.mark.parametrize(
    ("environment", "is_bold"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_shows_headers_in_bold_unless_its_user_says_no(
    environment: dict[str, str], is_bold: bool
) -> None:
    ours, theirs = pty.openpty()
    own = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    told = {**own, "TERM": "xterm", **environment}
    command = [sys.executable, "-c", PROGRAM]
    subprocess.run(command, cwd=PROJECT, env=told, stdout=theirs, check=True)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert ("\x1b[1mmodel\x1b[0m" in said) is is_bold
    assert ("\x1b" in said) is is_bold


def test_a_pipe_gets_plain_text() -> None:
    command = [sys.executable, "-c", PROGRAM]
    told = {**os.environ, "TERM": "xterm", "FORCE_COLOR": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=told, capture_output=True, text=True)
    assert done.stdout == "a night\nmodel\n  als\n"
