"""The code fingerprint changes with the code that makes a result, and with nothing else."""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.tables import CONTRACTS
from tasks.artifacts import code_fingerprint as provenance
from tasks.artifacts.code_fingerprint import CodeVersion, code_version_of
from tasks.artifacts.user_folder import FOLDER
from tasks.features.user_item import pairs_of
from tasks.models.lookup import recommender_class
from tests.code_fingerprints import forget

FILES = {
    "tasks/__init__.py": "",
    "tasks/made.py": '''
"""Made of several parts."""
import math
from typing import TYPE_CHECKING

import numpy as np
import polars.selectors as cs

from tasks import shapes
from tasks.helpers import helped, unused
from tasks.rooms import Public
from tasks.rooms.inner import base

if TYPE_CHECKING:
    from tasks.typed import Checked

LIMIT = 3
OTHER = 4


def decorate(function):
    return function


class Base(base.Deep):
    size = LIMIT


@decorate
def made(x: "Annotated", y: "Checked | None" = None):
    """Say what it does."""
    from tasks.lazy import lately

    return helped(near(x)) + lately(x) + Child.size + shapes.area(x) + Public(x)


def near(x):
    return np.sqrt(x)


class Child(Base):
    kind = "child"


class Annotated:
    width = 1


def beside(x):
    return cs.all()
''',
    "tasks/helpers.py": """
from tasks.made import made

def helped(x):
    return made if x else OFFSET

OFFSET = 1

def unused(x):
    return 1
""",
    "tasks/lazy.py": "def lately(x):\n    return x + 1\n",
    "tasks/shapes.py": "def area(x):\n    return x * x\n",
    "tasks/typed.py": "class Checked:\n    depth = 1\n",
    "tasks/rooms/__init__.py": """
import os

from .inner.public import Public

os.environ.setdefault("A", "1")
""",
    "tasks/rooms/inner/__init__.py": "",
    "tasks/rooms/inner/base.py": "class Deep:\n    depth = 1\n",
    "tasks/rooms/inner/public.py": """
try:
    from math import tau as turn
except ImportError:
    turn = 6.28

if turn:
    def Public(x):
        return turn
""",
}


class Project:
    """A little project, and the origin of ``tasks.made.made`` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new))

    def version(self, function: str = "made", module: str = "tasks.made") -> CodeVersion:
        forget()
        return code_version_of(SimpleNamespace(__module__=module, __qualname__=function))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    yield Project(tmp_path)
    forget()


WITHOUT_EFFECT = {
    "a comment": ("tasks/made.py", "return np.sqrt(x)", "return np.sqrt(x)  # the root"),
    "a docstring": ("tasks/made.py", "Say what it does.", "Say what it is for."),
    "a module's docstring": ("tasks/made.py", "Made of several", "Consists of"),
    "a docstring more": ("tasks/made.py", "def near(x):", 'def near(x):\n    """Root."""'),
    "formatting": ("tasks/made.py", "np.sqrt(x)", "np.sqrt(\n        x,\n    )"),
    "an unrelated function": ("tasks/made.py", "return cs.all()", "return 1"),
    "an unrelated constant": ("tasks/made.py", "OTHER = 4", "OTHER = 5"),
    "an imported function that is not used": ("tasks/helpers.py", "return 1", "return 2"),
}


@pytest.mark.parametrize("edit", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_what_does_nothing_changes_nothing(project, edit):
    before = project.version()
    project.edit(*edit)
    assert project.version() == before


CHANGES = {
    "the function": ("tasks/made.py", "+ lately(x)", "- lately(x)"),
    "its default": ("tasks/made.py", "= None)", "= 1)"),
    "its decorator": ("tasks/made.py", "return function", "return print or function"),
    "a function it calls": ("tasks/made.py", "np.sqrt(x)", "np.sqrt(x + 1)"),
    "a helper of another module": ("tasks/helpers.py", "made if x else", "made if not x else"),
    "a constant": ("tasks/made.py", "LIMIT = 3", "LIMIT = 2"),
    "a constant of a helper": ("tasks/helpers.py", "OFFSET = 1", "OFFSET = 2"),
    "a class attribute": ("tasks/made.py", 'kind = "child"', 'kind = "grandchild"'),
    "a base class": ("tasks/made.py", "size = LIMIT", "size = -LIMIT"),
    "a base class in a submodule": ("tasks/rooms/inner/base.py", "depth = 1", "depth = 2"),
    "a local import": ("tasks/lazy.py", "x + 1", "x + 2"),
    "an attribute of a module": ("tasks/shapes.py", "x * x", "2 * x"),
    "a re-export, defined in an if": ("tasks/rooms/inner/public.py", "return turn", "return 7"),
    "a fallback in a try": ("tasks/rooms/inner/public.py", "6.28", "6.2832"),
    "an annotation as text": ("tasks/made.py", "width = 1", "width = 2"),
    "an import for types only": ("tasks/typed.py", "depth = 1", "depth = 2"),
    "what a package does when imported": ("tasks/rooms/__init__.py", '"1"', '"2"'),
}


@pytest.mark.parametrize("edit", CHANGES.values(), ids=CHANGES)
def test_a_changed_line_changes_the_fingerprint(project, edit):
    before = project.version()
    project.edit(*edit)
    assert project.version().code != before.code


def test_one_changed_part_does_not_touch_another(project):
    before = project.version("near")
    project.edit("tasks/lazy.py", "x + 1", "x + 2")
    assert project.version("near") == before


def test_tools_are_the_libraries_that_the_code_mentions(project):
    assert project.version("near").tools == {"numpy": version("numpy")}
    assert project.version("beside").tools == {"polars": version("polars")}
    assert project.version("decorate").tools == {}


def test_a_library_taken_from_our_own_module_is_found(project):
    (project.folder / "tasks" / "borrower.py").write_text(
        "from tasks.made import np\n\n\ndef borrow():\n    return np\n"
    )
    assert project.version("borrow", "tasks.borrower").tools == {"numpy": version("numpy")}


@pytest.mark.parametrize("statement", ["import tasks.shapes", "import tasks.shapes as tasks"])
def test_a_plain_import_is_followed(project, statement):
    (project.folder / "tasks" / "user.py").write_text(
        f"import tasks.lazy\n{statement}\n\n\ndef use(x):\n    return tasks.shapes.area(x)\n"
    )
    before = project.version("use", "tasks.user")
    project.edit("tasks/shapes.py", "x * x", "2 * x")
    assert project.version("use", "tasks.user") != before


UNFOLLOWED = {
    "imports \\* from tasks.shapes": "from tasks.shapes import *\n\ndef use():\n    return area(1)",
    "neither defines nor imports volume": "def use():\n    from tasks.shapes import volume",
    "tasks.rooms.inner is imported, and it is empty": (
        "from tasks.rooms import inner\n\ndef use():\n    return inner.base.Deep"
    ),
}


@pytest.mark.parametrize(("complaint", "text"), UNFOLLOWED.items())
def test_what_cannot_be_followed_is_an_error(project, complaint, text):
    (project.folder / "tasks" / "user.py").write_text(text)
    with pytest.raises(LookupError, match=complaint):
        project.version("use", "tasks.user")


def test_roots_count_as_a_set():
    roots: tuple[Callable[..., object], ...] = (pairs_of, recommender_class("als"))
    assert code_version_of(*roots) == code_version_of(*reversed(roots), pairs_of)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_contract_has_a_fingerprint_of_its_own(name):
    others = set(CONTRACTS.values()) - {CONTRACTS[name]}  # two tables may keep the same contract
    assert code_version_of(CONTRACTS[name]).code not in {
        code_version_of(other).code for other in others
    }
