"""What a result depends on besides its data: the code that made it and the tools it was made with.

The code fingerprint follows names: from a function or class, through every top-level definition of
this project that it mentions, into the modules they were imported from. A changed line there
changes the fingerprint; a comment, a docstring or an unrelated function beside it does not. What a
module does when it is imported, and the packages around it, counts with everything in it. A module
that is imported itself (``from tasks import module``) counts with all its definitions. A nested
function counts as the top-level one around it. It stops at ``CARRIERS``. What is reached by a name
only at run time (importlib, a registry) is not seen: it is given as a root of its own.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from threading import Lock
from typing import Any

from tasks.artifacts.installed import packages_of
from tasks.artifacts.remembered_code import RememberedCode

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("schemas", "tasks")

CARRIERS = {
    "prefect": "runs the tasks",
    "tasks.artifacts.table_task": "looks an artefact up, has it made, measures what that cost",
    "tasks.artifacts.plain_task": "runs what leaves no table",
    "tasks.artifacts.build": "makes what is not there",
    "tasks.artifacts.inputs": "hands a task what it reads",
    "tasks.artifacts.cost": "measures what making costs",
    "tasks.artifacts.store": "keeps bytes as they are",
    "tasks.artifacts.writer": "checks rows against their contract, which counts, and writes them",
    "tasks.artifacts.manifest": "names and checks what is kept",
    "tasks.artifacts.code_fingerprint": "is what looks",
    "tasks.reporting.progress": "shows how far the work is",
    "tasks.models.lookup": "finds a class by name: what it finds is a root of its own",
    "schemas.tables": "finds a contract by name: those of what is made are roots of their own",
    "schemas.artifacts": "names what tasks hand each other",
    "schemas.errors": "says what is wrong: what fails makes nothing",
}
"""Modules that carry and show, by the reason why a change in them makes nothing anew."""

Symbol = tuple[str, str]
"""Dotted module, and the name of a top-level definition in it or one of the two below."""

EFFECTS = "<effects>"
"""What a module does when it is imported, besides defining names."""

WHOLE = "<whole>"
"""A module with all that it defines and imports."""


@dataclass(frozen=True)
class CodeVersion:
    """Hash of the code, and version by name of each library that it imports."""

    code: str
    tools: dict[str, str]


@dataclass
class _Module:
    """Top-level statements by the name they define, and what the names of its imports stand for."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[Symbol]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


def code_version_of(*roots: type | Callable[..., Any]) -> CodeVersion:
    """Fingerprint the code behind top-level functions and classes of this project.

    A function nested in one counts as the whole of it. LookupError names what cannot be followed: a
    star import, a name that is nowhere defined, a root that is not of this project.
    """
    symbols = {(root.__module__, root.__qualname__.split(".")[0]) for root in roots}
    for dotted, name in symbols:
        if not _is_ours(dotted):
            raise LookupError(
                f"{dotted}.{name} is not of this project: its code cannot be followed"
            )
    with _parsing:
        return _code_version(tuple(sorted(symbols)))


def code_hash(*rooms: str) -> str:
    """Return a hash of all code in folders of this project, whatever of it is used."""
    digest = hashlib.sha256()
    for room in rooms:
        for file in sorted((PROJECT / room).rglob("*.py")):
            digest.update(f"{file.relative_to(PROJECT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


_parsing = Lock()
"""Before CPython 3.11.8 two threads that parse at once fail (its issue 106905)."""


@cache
def _code_version(roots: tuple[Symbol, ...]) -> CodeVersion:
    memory = _memory()
    found = memory.get(roots)
    if found is None:
        found = _found(roots)
        memory.keep(roots, *found)
    code, libraries = found
    return CodeVersion(code, _versions(libraries))


@cache
def _memory() -> RememberedCode:
    return RememberedCode(code_hash(*ROOMS))


def _found(roots: tuple[Symbol, ...]) -> tuple[str, list[str]]:
    """Follow names from ``roots``; return a hash of all code behind them, and its libraries."""
    reached: dict[Symbol, str] = {}
    libraries: set[str] = set()
    waiting = list(roots)
    while waiting:
        symbol = waiting.pop()
        if symbol in reached or _is_carrier(symbol[0]):
            continue
        if not _is_ours(symbol[0]):
            libraries.add(symbol[0].split(".")[0])
            continue
        reached[symbol], mentioned = _follow(symbol)
        waiting += mentioned
    text = "\n".join(f"{symbol}: {reached[symbol]}" for symbol in sorted(reached))
    return hashlib.sha256(text.encode()).hexdigest()[:16], sorted(libraries)


@cache  # most of the code is behind many results
def _follow(symbol: Symbol) -> tuple[str, list[Symbol]]:
    """Return the code of a symbol and the symbols that it mentions, here or elsewhere."""
    dotted, name = symbol
    module = _parse(dotted)
    parts = dotted.split(".")
    loaded = [(".".join(parts[: n + 1]), EFFECTS) for n in range(len(parts))]
    if name == WHOLE:
        if not module.definitions and not module.imports:
            raise LookupError(f"package {dotted} is imported, and it is empty: import its modules")
        return "", [*loaded, *((dotted, n) for n in (*module.definitions, *module.imports))]
    if name == EFFECTS or name in module.definitions:
        statements = module.effects if name == EFFECTS else module.definitions[name]
        mentioned = {m for s in statements for n in _names(s) for m in _meant(dotted, n)}
        local = {target for s in statements for _, target in _imported(s)}
        return "\n".join(map(ast.dump, statements)), [*loaded, *mentioned, *local]
    if name in module.imports:
        return "", [*loaded, *module.imports[name]]
    if _path(f"{dotted}.{name}").exists():
        return "", [*loaded, (f"{dotted}.{name}", WHOLE)]
    raise LookupError(f"{dotted} neither defines nor imports {name}")


def _meant(dotted: str, name: str) -> list[Symbol]:
    """Return what a name stands for in a module; nothing for builtins, arguments and locals."""
    module = _parse(dotted)
    return [(dotted, name)] if name in module.definitions else module.imports.get(name, [])


def _path(dotted: str) -> Path:
    path = PROJECT / Path(*dotted.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _parse(dotted: str) -> _Module:
    return _parse_text(dotted, _path(dotted).read_text(encoding="utf-8"))


@cache
def _parse_text(dotted: str, text: str) -> _Module:
    module = _Module()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        _drop_texts(node)
        if isinstance(node, ast.ImportFrom):
            _make_absolute(node, dotted)
    for statement in tree.body:
        is_scope = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for name, target in () if is_scope else _imported(statement):
            module.imports.setdefault(name, []).append(target)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        for name in set(_defined(statement)):
            module.definitions.setdefault(name, []).append(statement)
        if not is_scope and not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            module.effects.append(statement)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            kept = [d for d in statement.decorator_list if not _is_carried(d, module)]
            statement.decorator_list = kept
    return module


def _is_carried(decorator: ast.expr, module: _Module) -> bool:
    """Whether a decorator is a carrier's: under which name and how long a task runs is not code."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    meant = module.imports.get(called.id, []) if isinstance(called, ast.Name) else []
    return bool(meant) and all(_is_carrier(dotted) for dotted, _ in meant)


def _drop_texts(node: ast.AST) -> None:
    """Remove docstrings and other bare strings: they do nothing."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        body[:] = [s for s in body if not _is_text(s)] or [ast.Pass()]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _make_absolute(node: ast.ImportFrom, dotted: str) -> None:
    package = dotted if _path(dotted).name == "__init__.py" else dotted.rpartition(".")[0]
    node.module = resolve_name("." * node.level + (node.module or ""), package)
    node.level = 0
    if any(alias.name == "*" for alias in node.names):
        raise LookupError(f"{dotted} imports * from {node.module}: import what it needs by name")


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Names that a top-level statement binds, also inside its ``if`` or ``try``."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
    else:
        for inner in ast.iter_child_nodes(statement):
            if isinstance(inner, ast.stmt | ast.ExceptHandler):
                yield from _defined(inner)  # type: ignore[arg-type]  # a handler has statements too


def _names(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement mentions, also in annotations written as text."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.AST):
                yield from _names_in_texts(annotation)


def _names_in_texts(annotation: ast.AST) -> Iterator[str]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                meant = ast.parse(node.value, mode="eval")
            except SyntaxError:  # a choice of Literal, a description
                continue
            yield from (inner.id for inner in ast.walk(meant) if isinstance(inner, ast.Name))


def _imported(statement: ast.stmt) -> Iterator[tuple[str, Symbol]]:
    """Names that imports anywhere in ``statement`` bind, and what each stands for."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], (alias.name, WHOLE)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, (str(node.module), alias.name)


def _is_ours(dotted: str) -> bool:
    return dotted.split(".")[0] in ROOMS


def _is_carrier(dotted: str) -> bool:
    return dotted in CARRIERS or dotted.split(".")[0] in CARRIERS


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    """Version by distribution; the standard library belongs to none and is left out."""
    names = {name for library in libraries for name in packages_of(library)}
    return {name: _version(name) for name in sorted(names)}


@cache
def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)
