"""Every page of ``docs/extend`` does what it says, for the number of files that it may cost."""

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "extend"
PRICES = {"model": 2, "metric": 1, "label": 1, "slice": 1, "blend": 1, "raw_column": 3}
"""Files that each thing may cost at most."""

WORDS = ("no", "one", "two", "three")
TRIED = "Try it"
HUNK = "@@\n"
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """The blocks of a page: what becomes of which file, what is run then, and what that prints."""

    text: str
    changes: dict[str, tuple[str, str]]
    program: str
    printed: str

    @classmethod
    def of(cls, name: str) -> "Page":
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        blocks = [(title, (kind, block)) for kind, title, block in BLOCK.findall(text)]
        changes = {title: change for title, change in blocks if title != TRIED}
        assert len(changes) == len(blocks) - 1, "a block a file, and one to try it"
        (printed,) = SHOWN.findall(text)
        return cls(text, changes, dict(blocks)[TRIED][1], printed)


def patched(text: str, diff: str) -> str:
    """Apply hunks, each of which stands in ``text`` exactly once."""
    for hunk in diff.split(HUNK):
        lines = [line if line.strip() else " \n" for line in hunk.splitlines(keepends=True)]
        assert {line[0] for line in lines} <= set(" +-")
        before = "".join(line[1:] for line in lines if line[0] != "+")
        assert text.count(before) == 1, f"not there once:\n{before}"
        text = text.replace(before, "".join(line[1:] for line in lines if line[0] != "-"))
    return text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project to extend."""
    for folder in ("schemas", "tasks"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "synthetic_data.py", tmp_path / "tests")
    return tmp_path


@pytest.mark.parametrize("name", PRICES)
def test_the_example_does_what_its_page_says(name: str, project: Path) -> None:
    page = Page.of(name)
    assert 0 < len(page.changes) <= PRICES[name]
    assert f"**{WORDS[len(page.changes)]} file" in page.text
    for title, (kind, block) in page.changes.items():
        file = project / title
        assert file.exists() == (kind == "diff"), title
        file.write_text(patched(file.read_text(), block) if kind == "diff" else block)
    done = run(
        [sys.executable, "-c", page.program],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == page.printed


def test_every_page_is_tried() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(PRICES)


def test_what_a_page_adds_is_in_the_style_of_the_project(project: Path) -> None:
    for name in PRICES:
        for title, (kind, block) in Page.of(name).changes.items():
            file = project / title
            file.write_text(patched(file.read_text(), block) if kind == "diff" else block)
    shutil.copy(ROOT / "pyproject.toml", project)
    for check in (["check"], ["format", "--check"]):
        done = run(
            [sys.executable, "-m", "ruff", *check, "."], cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
