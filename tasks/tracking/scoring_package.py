"""The code that a served model brings along: the modules that scoring reaches, as one package.

It is followed by name from the file that MLflow runs and from the model's classes, so that no list
is kept. A module that is imported when another one is loaded comes along. An import inside a
function counts only where scoring gets to that function: training is left out (``fit``, ``_fit``,
and what only they call), and with it TensorFlow's losses, implicit and scikit-learn.

The package's name ends in a hash of what is in it, as in ``grail_model_1a2b3c4d``. It clashes
neither with a package of whoever serves it nor, in one process, with that of another model.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tasks.artifacts.code_fingerprint import PROJECT, ROOMS
from tasks.models.lookup import recommender_class

SERVED = "tasks.tracking.pyfunc_model"
"""The file that MLflow runs to load a model."""
TRAINING = frozenset({"fit", "_fit"})
DOCSTRING = '"""What scoring needs of Grail, packed with a model."""\n'

Symbol = tuple[str, str]
"""Dotted module, and a name in it."""


@dataclass(frozen=True)
class ScoringPackage:
    """A package to be written: its name, its files, and what it imports of others."""

    name: str
    files: dict[str, str]
    """Text by path inside the package."""
    served: str
    """Text of the file that MLflow runs, which imports the package."""
    libraries: frozenset[str]
    """Names that it imports from outside of this project, the standard library among them."""

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write it into ``folder``; return where the package is, and the file that MLflow runs."""
        for path, text in self.files.items():
            file = folder / self.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        served = folder / _path(SERVED).name
        served.write_text(self.served, encoding="utf-8")
        return folder / self.name, served


def scoring_package(*names: str) -> ScoringPackage:
    """Return what scores the models ``names``: one model, or a blend and its components.

    Raises:
        LookupError: a module is imported in a way that cannot be moved into another package.
    """
    reached = _Reached()
    served = ast.parse(_source(SERVED).text)
    for target in _imported(served):
        reached.reach(target)
    for model in map(recommender_class, names):
        reached.reach((model.__module__, model.__name__))
    texts = {dotted: _source(dotted).text for dotted in sorted(reached.modules)}
    name = f"grail_model_{hashlib.sha256(repr(texts).encode()).hexdigest()[:8]}"
    files = {
        str(_path(dotted).relative_to(PROJECT)): moved(text, name) for dotted, text in texts.items()
    }
    return ScoringPackage(
        name,
        {"__init__.py": DOCSTRING, **files},
        moved(_source(SERVED).text, name),
        frozenset(reached.libraries),
    )


@dataclass
class _Reached:
    """What is reached so far: modules of this project, libraries, and names in the modules."""

    modules: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    symbols: set[Symbol] = field(default_factory=set)

    def reach(self, symbol: Symbol) -> None:
        """Add a name, the module it is in, and what the name gets to when it is used."""
        if symbol in self.symbols:
            return
        self.symbols.add(symbol)
        dotted, name = symbol
        self._load(dotted)
        if not _is_ours(dotted):
            return
        source = _source(dotted)
        if name in source.definitions:
            self._follow(source, source.definitions[name])
        elif name in source.imports:
            self.reach(source.imports[name])
        elif _path(f"{dotted}.{name}").exists():  # a module itself: any of its names may be used
            module = f"{dotted}.{name}"
            self._load(module)
            for definition in _source(module).definitions:
                self.reach((module, definition))

    def _load(self, dotted: str) -> None:
        """Add a module, and all that is loaded with it."""
        if not _is_ours(dotted):
            self.libraries.add(dotted.split(".")[0])
        elif dotted not in self.modules:
            self.modules.add(dotted)
            if "." in dotted:
                self._load(dotted.rpartition(".")[0])
            source = _source(dotted)
            for statement in source.effects:
                self._follow(source, statement)
            for module, name in source.imports.values():
                self._load(module)
                if _is_ours(module) and _path(f"{module}.{name}").exists():
                    self._load(f"{module}.{name}")

    def _follow(self, source: _Source, node: ast.AST) -> None:
        for inner in _walk(node):
            for target in _imported_by(inner):
                self.reach(target)
            if isinstance(inner, ast.Name) and inner.id in source.definitions:
                self.reach((source.dotted, inner.id))
            elif isinstance(inner, ast.Name) and inner.id in source.imports:
                self.reach(source.imports[inner.id])


@dataclass(frozen=True)
class _Source:
    """A module: its functions and classes, its imports by the name they bind, and all the rest."""

    dotted: str
    text: str
    definitions: dict[str, ast.stmt]
    imports: dict[str, Symbol]
    effects: list[ast.stmt]


@cache
def _source(dotted: str) -> _Source:
    text = _path(dotted).read_text(encoding="utf-8")
    source = _Source(dotted, text, {}, {}, [])
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            source.definitions[statement.name] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names = (alias.asname or alias.name.split(".")[0] for alias in statement.names)
            source.imports.update(zip(names, _imported(statement), strict=True))
        elif not (isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"):
            source.effects.append(statement)
    return source


def _imported(node: ast.AST) -> Iterator[Symbol]:
    """Yield what is imported anywhere in a node, training apart."""
    for inner in _walk(node):
        yield from _imported_by(inner)


def _imported_by(node: ast.AST) -> Iterator[Symbol]:
    """Yield what a node imports, if it is an import."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from ((str(node.module), alias.name) for alias in node.names)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all in it, methods of training apart."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        yield at
        waiting += [
            inner
            for inner in ast.iter_child_nodes(at)
            if not (isinstance(inner, ast.FunctionDef) and inner.name in TRAINING)
        ]


def moved(text: str, package: str) -> str:
    """Return a module's text with all imports of this project from ``package`` instead."""
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import) and any(_is_ours(alias.name) for alias in node.names):
            raise LookupError(f"line {node.lineno}: write from ... import ..., it can be moved")
        if isinstance(node, ast.ImportFrom) and _is_ours(str(node.module)):
            line, start = lines[node.lineno - 1], node.col_offset + len("from ")
            lines[node.lineno - 1] = f"{line[:start]}{package}.{line[start:]}"
    return "".join(lines)


def _is_ours(dotted: str) -> bool:
    return dotted.split(".")[0] in ROOMS


def _path(dotted: str) -> Path:
    path = PROJECT / Path(*dotted.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
