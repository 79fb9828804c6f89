"""A command's flags as its config class has them: what ``--help`` shows and what may be typed.

A field is a flag of its name, with dashes. Its type decides what the help asks for, its description
is the help, and the heading of the class that defines it is the group it stands in.
"""

import argparse
import inspect
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn, get_args

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from flows.commands.terminal import fail
from schemas.paths import Metavar

Shape = Mapping[str, Any]
"""What JSON schema says of a field that is given."""

ASKED_FOR = {"array": "NAME,...", "object": "JSON", "integer": "INTEGER", "number": "NUMBER"}
DATE = "YYYY-MM-DD"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves the words of most flags room on the line where their help begins."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """Reads flags as texts, which the config class then checks; says what is wrong in one line."""

    def __init__(
        self, prog: str, description: str, examples: Sequence[str] = (), usage: str = "[FLAGS]"
    ) -> None:
        """Describe a command; the flags of a config class are for ``add_flags``."""
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {usage}",
            description=inspect.cleandoc(description),
            epilog="\n  ".join(["examples:", *examples]) if examples else None,
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        self._shapes: dict[str, Shape] = {}

    def add_flags(self, config: type[BaseModel]) -> None:
        """Add a flag for each field of a config class, in groups by the classes it is made of."""
        properties = config.model_json_schema(by_alias=False)["properties"]
        groups: dict[str, Any] = {}
        for name, field in config.model_fields.items():
            heading = heading_of(config, name)
            if heading not in groups:
                groups[heading] = self.add_argument_group(heading)
            self._shapes[name] = shape_of(properties[name])
            groups[heading].add_argument(
                *option_strings(name, field),
                dest=name,
                default=argparse.SUPPRESS,
                help=help_of(field, self._shapes[name]).replace("%", "%%"),
                **check(field, self._shapes[name]),
            )

    def given(self, argv: Sequence[str]) -> dict[str, Any]:
        """Return what of a config was given, by field, unchecked."""
        found = vars(self.parse_args(argv))
        return {name: value_of(text, self._shapes[name]) for name, text in found.items()}

    def error(self, message: str) -> NoReturn:
        """End the process with the reason alone."""
        fail(self.prog, message)


def heading_of(config: type[BaseModel], name: str) -> str:
    """Return the heading of the class, of those that a config is made of, which has the field."""
    owners = (one for one in reversed(config.__mro__) if name in getattr(one, "model_fields", {}))
    return str(getattr(next(owners), "heading", "flags"))


def shape_of(schema: Shape) -> Shape:
    """Return what a field is when it is given: of a type or none, the type."""
    choices: Sequence[Shape] = schema.get("anyOf", [schema])
    return next(one for one in choices if one.get("type") != "null")


def option_strings(name: str, field: FieldInfo) -> list[str]:
    """Return what is typed for a field: its name, or the names that it has instead."""
    alias = field.validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [name]
    return [f"--{str(one).replace('_', '-')}" for one in names]


def check(field: FieldInfo, shape: Shape) -> dict[str, Any]:
    """Return how argparse reads a field, and what its help calls the value."""
    if shape.get("type") == "boolean":
        return {"action": "store_true"}
    action = "append" if shape.get("type") == "array" else "store"
    return {"action": action, "metavar": asked_for(field, shape)}


def asked_for(field: FieldInfo, shape: Shape) -> str:
    """Say what a field takes: one of some words, a date, what its type says, a number, a text."""
    if "enum" in shape:
        return "{" + ",".join(map(str, shape["enum"])) + "}"
    inner = [getattr(part, "__metadata__", ()) for part in get_args(field.annotation)]
    about = chain(field.metadata, *inner)
    own = (one.text for one in about if isinstance(one, Metavar))
    by_type = DATE if shape.get("format") == "date" else ASKED_FOR.get(shape.get("type", ""))
    return next(own, by_type or "TEXT")


def help_of(field: FieldInfo, shape: Shape) -> str:
    """Describe a field, with the words it takes a list of, and its default unless it says so."""
    said = field.description or ""
    words = shape.get("items", {}).get("enum", ())
    if words:
        said += f": {', '.join(words)}"
    if "(default: " in said:
        return said
    if field.is_required():
        return f"{said} (required)"
    default = field.get_default(call_default_factory=True)
    if default is None or default is False or default == {}:
        return said
    if isinstance(default, tuple):
        default = "all" if list(default) == list(words) else ",".join(map(str, default))
    return f"{said} (default: {default})"


def value_of(text: Any, shape: Shape) -> Any:
    """Return a flag's value for the config to check: lists by commas or JSON, objects by JSON."""
    if shape.get("type") == "array":
        return [one for part in text for one in _listed(part)]
    return _from_json(text) if shape.get("type") == "object" else text


def _listed(text: str) -> list[Any]:
    found = _from_json(text) if text.startswith("[") else text.split(",")
    return found if isinstance(found, list) else [found]


def _from_json(text: str) -> Any:
    """Read JSON; what is none stays a text, which the config refuses."""
    try:
        return json.loads(text)
    except ValueError:
        return text
