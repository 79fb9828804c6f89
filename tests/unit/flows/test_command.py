"""One command: what it says of itself, before anything heavy is imported, and what it refuses."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows.__main__ import main
from flows.commands.cli import parse_cli
from flows.commands.subcommands import SUBCOMMANDS
from flows.dev_stack.night_flags import split
from schemas.settings import NightlyConfig

PROJECT = Path(__file__).parents[3]
HEAVY = ("prefect", "mlflow", "polars", "tensorflow", "implicit")


def said_by(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.parametrize(
    "example", [e for command in SUBCOMMANDS.values() for e in command.examples]
)
def test_every_example_is_understood(example: str) -> None:
    name, *words = shlex.split(example.removeprefix("python -m flows "))
    own, of_the_night = split(words)
    parse_cli(SUBCOMMANDS[name].config, "grail", own)
    parse_cli(NightlyConfig, "grail", of_the_night)


@pytest.mark.parametrize("argv", [(), ("--help",), ("-h",)])
def test_the_help_names_every_subcommand_with_an_example(capsys, argv) -> None:
    code, out, err = said_by(capsys, *argv)
    assert (code, err) == (0, "")
    for name, command in SUBCOMMANDS.items():
        assert re.search(rf"^ +{name}\b", out, re.MULTILINE)
        assert f"  {command.examples[0]}\n" in out


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_help_of_a_subcommand_is_for_people(capsys, name: str) -> None:
    code, out, err = said_by(capsys, name, "--help")
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert not re.search(r"\w\[\w|\bNone\b|\bFalse\b", words), "types and values of Python"
    for flag in words.split(" --"):
        assert flag.count("(default:") <= 1, flag
    assert all(f"  {example}" in out for example in SUBCOMMANDS[name].examples)
    assert bool(re.search(r" YYYY-MM-DD(\|next)? ", words)) is (
        name in {"nightly", "backfill", "tune"}
    )


def test_what_may_be_chosen_is_in_the_help(capsys) -> None:
    _, out, _ = said_by(capsys, "nightly", "--help")
    words = " ".join(out.split())
    assert "--models NAME,... models to train, by name: random, most_viewed, popularity" in words
    assert "hybrid (default: all)" in words
    assert "--source demo|kuairec|PATH " in words


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["nights"], "invalid choice: 'nights'"),
        (["--scale", "1"], "the following arguments are required: COMMAND"),
        (["nightly", "--", "--scale", "1"], "unrecognized arguments: "),
        (["demo-data"], "out: Field required"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, argv: list[str], reason: str) -> None:
    code, out, err = said_by(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("python -m flows")
    assert reason in err


def test_the_version_is_the_projects_and_names_the_commit_of_a_checkout(capsys) -> None:
    code, out, _ = said_by(capsys, "--version")
    assert code == 0
    form = r"grail \d+\.\d+\.\d+( \([0-9a-f]{7,}(-dirty)?\))?\n"
    found = re.fullmatch(form, out)
    assert found
    assert bool(found[1]) is (PROJECT / ".git").exists()


def test_help_is_there_before_anything_heavy_is_imported() -> None:
    program = f"""
import sys
from flows.__main__ import main
try:
    main(["nightly", "--help"])
except SystemExit:
    print(set(sys.modules) & set({HEAVY}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True
    )
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "set()")


def test_a_temporary_server_starts_before_a_nights_libraries_are_imported() -> None:
    program = "import sys, flows.commands.run; print(*sys.modules)"
    said = subprocess.check_output([sys.executable, "-c", program], cwd=PROJECT, text=True)
    assert set(HEAVY) & set(said.split()) == {"prefect"}
