"""Pages that are written when the site is built: every table, every setting, every name in MLflow.

A hook of MkDocs (mkdocs.yml names it). Here: the words of the code, laid out as Markdown. Not here:
any description; each stands beside what it describes, so that it cannot be forgotten there.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandera.polars as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from flows.commands.argument_parser import option_strings
from flows.commands.subcommands import SUBCOMMANDS
from schemas.model_settings import MODEL_CONFIGS
from schemas.search_space import OneOf, search_space
from schemas.tables import CONTRACTS
from tasks.tracking.names import TAGS, metrics

ROOT = Path(__file__).parents[1]
LAYERS = ("flows", "tasks", "schemas")

BOUNDS = {
    "greater_than_or_equal_to": "≥ {min_value}",
    "greater_than": "> {min_value}",
    "less_than_or_equal_to": "≤ {max_value}",
    "less_than": "< {max_value}",
    "in_range": "{min_value} to {max_value}",
    "isin": "one of {allowed_values}",
    "str_matches": "like `{pattern}`",
}
"""How checks of pandera's own read; another one is shown by its description."""
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "pattern": "like `{}`",
}
"""How limits in a JSON schema read."""

ABOUT_TABLES = (
    "Every table that a run keeps, from the contract that it is held to when it is written. It lies"
    " at `ROOT/<stage>/<table>/<fingerprint>/data.parquet`. A column that is not named here is"
    " refused."
)
ABOUT_SETTINGS = (
    "Each is a flag of its command (`--as-of`) and a parameter of its deployment in Prefect"
    " (`as_of`), and MLflow shows what a night was given. A wrong one ends the command in one line."
)
ABOUT_NAMES = (
    "A night is one run, with a nested run for each model. Parameters are the"
    " [settings](settings.md). A part in braces differs from run to run. Every other figure is in"
    " the tables of the night's run."
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the written pages, and put the guides of extend/ into the navigation."""
    for name, write in PAGES.items():
        files.append(File.generated(config, name, content=write()))
    nav: list[Any] = config.nav or []
    guides = sorted(f.src_uri for f in files.documentation_pages() if "extend/" in f.src_uri)
    places = [{"Extend": guides} if "Extend" in each else each for each in nav]
    config.nav = [each for each in places if each != {"Extend": []}]
    return files


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    """Return text as a cell of a table takes it."""
    return " ".join(text.split()).replace("|", "\\|")


def tables_page() -> str:
    """Describe every table: its grain, and each column with type and checks."""
    parts = ["# Tables", ABOUT_TABLES]
    for module, names in tables_by_module().items():
        parts += [f"## {module.__name__.rpartition('.')[2].title()}", cell(module.__doc__ or "")]
        for name in names:
            parts += table_section(name, CONTRACTS[name])
    return "\n\n".join(parts) + "\n"


def tables_by_module() -> dict[ModuleType, list[str]]:
    """Return the names of tables by the module that has their contracts."""
    found: dict[ModuleType, list[str]] = {}
    for name, contract in CONTRACTS.items():
        found.setdefault(sys.modules[contract.__module__], []).append(name)
    return found


def table_section(name: str, contract: type[pa.DataFrameModel]) -> Iterator[str]:
    """Describe one table."""
    schema = contract.to_schema()
    yield f"### {name}"
    yield inspect.cleandoc(contract.__doc__ or "")
    rows = [
        (f"`{column}`", f"`{kind.dtype}`", ", ".join(column_checks(kind)), kind.description or "")
        for column, kind in schema.columns.items()
    ]
    yield grid(("column", "type", "checks", "meaning"), rows)
    whole = [str(check.description or check.error or check.name) for check in schema.checks]
    if schema.unique:
        whole.append(f"one row for each {', '.join(schema.unique)}")
    if whole:
        yield f"Of all rows: {'; '.join(whole)}."


def column_checks(column: pa.Column) -> Iterator[str]:
    """Say what is checked of a column."""
    if column.nullable:
        yield "may be null"
    if column.unique:
        yield "unique"
    for check in column.checks:
        shown = BOUNDS.get(str(check.name))
        if shown is not None:
            yield shown.format(**check.statistics)
        else:
            yield str(check.description or check.error or check.name)


def configs() -> list[type[BaseModel]]:
    """Return the classes that commands' settings are made of, each once."""
    classes = [c for each in SUBCOMMANDS.values() for c in reversed(each.config.__mro__)]
    ours = [c for c in classes if issubclass(c, BaseModel) and own_fields(c)]
    return list(dict.fromkeys(ours))


def own_fields(config: type[BaseModel]) -> list[str]:
    """Return the fields that a class adds to those of the classes it is made of."""
    inherited = {name for base in config.__bases__ for name in getattr(base, "model_fields", {})}
    return [name for name in config.model_fields if name not in inherited]


def settings_page() -> str:
    """Describe every setting: those of commands, of their servers, and of each model."""
    parts = ["# Settings", ABOUT_SETTINGS]
    for config in configs():
        parts += config_section(config.__name__, config, typed)
    parts += ["## Models", 'Given as `--model-params \'{"als": {"factors": 128}}\'`.']
    for name, config in MODEL_CONFIGS.items():
        parts += config_section(name, config, bare, level="###")
    return "\n\n".join(parts) + "\n"


def config_section(
    title: str, config: type[BaseModel], named: Callable[[str, FieldInfo], str], level: str = "##"
) -> Iterator[str]:
    """Describe one class of settings."""
    yield f"{level} {title}"
    yield inspect.cleandoc(config.__doc__ or "")
    commands = [name for name, each in SUBCOMMANDS.items() if issubclass(each.config, config)]
    if commands:
        yield f"Flags of {', '.join(f'`python -m flows {name}`' for name in commands)}."
    if any(issubclass(base, BaseModel) and base.model_fields for base in config.__bases__):
        more = " and ".join(f"[{b.__name__}](#{b.__name__.lower()})" for b in config.__bases__)
        yield f"Takes also what {more} has."
    shapes = config.model_json_schema(by_alias=False).get("properties", {})
    rows = [
        (
            f"`{named(name, field)}`",
            kind(shapes[name]),
            default_of(config, name),
            f"{field.description or ''}{searched(config, name)}",
        )
        for name, field in config.model_fields.items()
        if name in own_fields(config)
    ]
    yield grid(("setting", "takes", "default", "meaning"), rows) if rows else "It has no settings."


def typed(name: str, field: FieldInfo) -> str:
    """Return a field as it is typed, the shortest of its names."""
    return min(option_strings(name, field), key=len)


def bare(name: str, field: FieldInfo) -> str:  # noqa: ARG001
    """Return a field as JSON has it."""
    return name


def kind(shape: Mapping[str, Any]) -> str:
    """Say what a field takes, and within which limits, from its JSON schema."""
    choices = [s for s in shape.get("anyOf", [shape]) if s.get("type") != "null"]
    if any("const" in one for one in choices):
        return " or ".join(f"`{one['const']}`" if "const" in one else kind(one) for one in choices)
    given = next(iter(choices), shape)
    words = given.get("enum") or given.get("items", {}).get("enum")
    takes = given.get("format") or given.get("type", "text")
    limits = [text.format(given[limit]) for limit, text in LIMITS.items() if limit in given]
    return ", ".join([f"{takes}: {', '.join(map(str, words))}" if words else takes, *limits])


def default_of(config: type[BaseModel], name: str) -> str:
    """Return a field's default as JSON, or that it has none."""
    field = config.model_fields[name]
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        return "all of them"
    return "" if value is None else f"`{json.dumps(to_jsonable_python(value))}`"


def searched(config: type[BaseModel], name: str) -> str:
    """Say where tuning searches a setting, if it does."""
    tried = search_space(config).get(name)
    if tried is None:
        return ""
    if isinstance(tried, OneOf):
        return f" Tuned: one of {', '.join(map(str, tried.values))}."
    return f" Tuned: {tried.low:g} to {tried.high:g}{', by size' if tried.log else ''}."


def modules_page() -> str:
    """Name every package and module with the first line of its docstring."""
    parts = ["# Every module"]
    for folder in sorted(
        {file.parent for layer in LAYERS for file in (ROOT / layer).rglob("*.py")}
    ):
        files = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
        if files:
            parts.append(f"## {folder.relative_to(ROOT)}/")
            parts.append(first_line(folder / "__init__.py"))
            rows = [(f"`{file.name}`", first_line(file)) for file in files]
            parts.append(grid(("module", "what it is"), rows))
    return "\n\n".join(parts) + "\n"


def first_line(file: Path) -> str:
    """Return the first sentence or line of a module's docstring, empty if it has none."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return cell(text.partition("\n\n")[0])


def tracking_page() -> str:
    """Name every tag and metric in MLflow."""
    rows = [(f"`{name.name}`", name.of, name.meaning) for name in metrics()]
    tags = [(f"`{name.name}`", name.of, name.meaning) for name in TAGS]
    heads = ("name", "of", "meaning")
    parts = ["# Names in MLflow", ABOUT_NAMES, "## Tags", grid(heads, tags), "## Metrics"]
    return "\n\n".join([*parts, grid(heads, rows)]) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "tables.md": tables_page,
    "settings.md": settings_page,
    "tracking.md": tracking_page,
    "modules.md": modules_page,
}
"""Each page that is written, and what writes it."""
