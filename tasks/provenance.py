"""What a result depends on besides its data: the code that made it and the tools it was made with.

The code fingerprint follows names: from a function or class, through every top-level definition of
this project that it mentions, into the modules they were imported from. A changed line there changes
the fingerprint; a comment, a docstring or an unrelated function beside it does not. Reached by a
name only at run time (importlib, a registry) is not seen: such a function or class is given as a
root of its own.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = ("schemas", "tasks")

Symbol = tuple[str, str]
"""Dotted module and the name of a top-level definition in it."""


@dataclass(frozen=True)
class Origin:
    """Hash of the code, and version by name of each library that it imports."""

    code: str
    tools: dict[str, str]


@dataclass
class _Module:
    """Top-level statements by the name they define, and those that define none."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


def origin_of(*roots: type | Callable[..., Any]) -> Origin:
    """Fingerprint the code behind functions and classes of this project."""
    return _origin(tuple(sorted({(root.__module__, root.__qualname__) for root in roots})))


@cache
def _origin(roots: tuple[Symbol, ...]) -> Origin:
    reached: dict[Symbol, str] = {}
    libraries: set[str] = set()
    waiting = list(roots)
    while waiting:
        symbol = waiting.pop()
        if symbol in reached:
            continue
        module = _parse(symbol[0])
        waiting += _elsewhere(symbol, module)
        statements = module.definitions.get(symbol[1], []) + module.effects
        reached[symbol] = "\n".join(ast.dump(statement) for statement in statements)
        for name in {name for statement in statements for name in _names(statement)}:
            if name in module.definitions:
                waiting.append((symbol[0], name))
            elif name in module.imports:
                waiting.append(module.imports[name])
            elif name in module.libraries:
                libraries.add(module.libraries[name])
        libraries |= {library for s in statements for library in _imported_libraries(s)}
        waiting += [target for s in statements for target in _imported_symbols(s).values()]
    text = "\n".join(f"{symbol}: {reached[symbol]}" for symbol in sorted(reached))
    return Origin(hashlib.sha256(text.encode()).hexdigest()[:16], _versions(libraries))


def _elsewhere(symbol: Symbol, module: _Module) -> list[Symbol]:
    """Return where a name that ``module`` does not define itself comes from."""
    dotted, name = symbol
    if name in module.definitions:
        return []
    if name in module.imports:
        return [module.imports[name]]
    submodule = f"{dotted}.{name}"
    if _path(submodule).exists():
        return [(submodule, defined) for defined in _parse(submodule).definitions]
    raise LookupError(f"{dotted} neither defines nor imports {name}")


def _path(dotted: str) -> Path:
    path = PROJECT / Path(*dotted.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _parse(dotted: str) -> _Module:
    module = _Module()
    tree = ast.parse(_path(dotted).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        _drop_texts(node)
    for statement in tree.body:
        defined = list(_defined(statement))
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports |= _imported_symbols(statement)
            module.libraries |= {
                (alias.asname or alias.name.split(".")[0]): library
                for alias, library in zip(
                    statement.names, _imported_libraries(statement), strict=False
                )
            }
        elif defined:
            for name in defined:
                module.definitions.setdefault(name, []).append(statement)
        else:
            module.effects.append(statement)
    return module


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


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))


def _names(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id


def _imported_symbols(statement: ast.stmt) -> dict[str, Symbol]:
    """Names that imports anywhere in ``statement`` bind to definitions of this project."""
    found: dict[str, Symbol] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            found |= {a.asname or a.name: (node.module, a.name) for a in node.names}
    return found


def _imported_libraries(statement: ast.stmt) -> list[str]:
    """Top-level packages of other people, one an imported name, in the order of the names."""
    found: list[str] = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            found += [a.name.split(".")[0] for a in node.names if not _is_ours(a.name)]
        elif isinstance(node, ast.ImportFrom) and node.module and not _is_ours(node.module):
            found += [node.module.split(".")[0]] * len(node.names)
    return found


def _is_ours(dotted: str) -> bool:
    return dotted.split(".")[0] in ROOMS


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _versions(libraries: set[str]) -> dict[str, str]:
    """Version by distribution; the standard library belongs to none and is left out."""
    names = {name for library in libraries for name in _distributions().get(library, [])}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
