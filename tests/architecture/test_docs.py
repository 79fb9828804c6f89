"""The documentation is true: what it names is there, and what is there is in it."""

import inspect
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from docs.generated_pages import configs, first_line
from flows.commands.argument_parser import option_strings
from schemas.model_settings import MODEL_CONFIGS
from schemas.tables import CONTRACTS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONFIGS = [*configs(), *MODEL_CONFIGS.values()]


def paths_in(page: Path) -> set[str]:
    """Return what a page names as a path of this repository."""
    quoted = re.findall(r"`([\w/.-]+)`", page.read_text(encoding="utf-8"))
    ours = ("flows/", "tasks/", "schemas/", "tests/", "docs/", "benchmarks/")
    return {path for path in quoted if path.startswith(ours)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page):
    assert [path for path in sorted(paths_in(page)) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_on_a_page_exist(page):
    fields = [each for config in CONFIGS for each in config.model_fields.items()]
    flags = {flag for name, field in fields for flag in option_strings(name, field)}
    flags |= {"--help", "--version"}
    commands = re.findall(r"python -m flows[^`#\n]*", page.read_text(encoding="utf-8"))
    named = {flag for line in commands for flag in re.findall(r"--[a-z][a-z-]*", line)}
    assert named <= flags


def test_every_package_has_its_line_in_the_architecture():
    inits = [
        f for layer in ("flows", "tasks", "schemas") for f in (ROOT / layer).rglob("__init__.py")
    ]
    packages = {f"{file.parent.relative_to(ROOT)}/" for file in inits}
    assert packages - paths_in(ROOT / "docs" / "architecture.md") == set()


def test_every_module_says_what_it_is():
    files = [f for layer in ("flows", "tasks", "schemas") for f in (ROOT / layer).rglob("*.py")]
    silent = [file for file in files if not first_line(file)]
    assert [file for file in silent if file.read_text()] == []


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_setting_says_what_it_is(config: type[BaseModel]):
    silent = [name for name, field in config.model_fields.items() if not field.description]
    assert (silent, bool(config.__doc__)) == ([], True)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_table_says_what_a_row_is(name):
    assert inspect.cleandoc(CONTRACTS[name].__doc__ or "").startswith("One row ")


def test_the_readme_is_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 700


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_beside_the_site_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
