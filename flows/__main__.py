"""One command, a word for each thing to do: ``python -m flows nightly``."""

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from flows import COMMAND
from flows.commands.argument_parser import Parser
from flows.commands.cli import parse_cli
from flows.commands.failures import one_line
from flows.commands.subcommands import SUBCOMMANDS
from flows.dev_stack.night_flags import split

PROJECT = Path(__file__).parents[1]


def main(argv: Sequence[str]) -> None:
    """Do what the first word says, with the flags that follow it."""
    name = subcommand_in(argv[:1] or ["--help"])
    command, prog = SUBCOMMANDS[name], f"{COMMAND} {name}"
    own, behind = split(argv[1:]) if command.hands_on else (argv[1:], [])
    config = parse_cli(command.config, prog, own, command.examples)
    with one_line(prog, getattr(config, "root", None)):
        command.run(config, *([behind] if command.hands_on else []))


def subcommand_in(words: Sequence[str]) -> str:
    """Return the sub-command that is named; the help, the version or a wrong word end it here."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    examples = [command.examples[0] for command in SUBCOMMANDS.values()]
    parser = Parser(COMMAND, project["description"], examples, usage="COMMAND [FLAGS]")
    version = f"grail {project['version']}{commit()}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(
        title="commands (COMMAND --help shows what each takes)",
        dest="name",
        metavar="COMMAND",
        required=True,
        parser_class=argparse.ArgumentParser,
    )
    for name, command in SUBCOMMANDS.items():
        commands.add_parser(name, help=(command.config.__doc__ or "").splitlines()[0])
    return str(parser.parse_args(words).name)


def commit() -> str:
    """Say which commit this checkout is at, if it is one."""
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--exclude=*"]
    if (PROJECT / ".git").exists():
        with suppress(OSError, subprocess.CalledProcessError):
            return f" ({subprocess.check_output(command, text=True).strip()})"  # noqa: S603
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
