"""A page that stands alone: sections of text, tables that sort, pictures, and words explained.

One file of HTML, with its style, its script and its pictures in it: it asks nothing of any network.
Everything that comes from data is escaped. Here: how it looks. Not here: what it says.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

from jinja2 import Environment, StrictUndefined, Template

TEMPLATE = Path(__file__).with_name("page.html")
"""What pages are filled into."""

Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class Cell:
    """What is shown in a table, and the number by which it is sorted, if it is one."""

    text: str
    number: float | None = None
    href: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table: a header a column, each one of the page's ``words`` or plain, and rows of cells."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG, and what it shows, for those who cannot see it."""

    png: bytes
    words: str

    @property
    def source(self) -> str:
        """The picture as an address that holds all of it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Section:
    """A part of a page: text, one paragraph each, then tables, then pictures."""

    title: str
    text: Sequence[str] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()

    @property
    def anchor(self) -> str:
        """What its link is called."""
        return anchor(self.title)


@dataclass(frozen=True)
class Page:
    """A whole page; ``words`` are explained at its end, and where they head a column."""

    title: str
    lead: str
    sections: Sequence[Section]
    words: Mapping[str, str] = field(default_factory=dict)
    notice: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """Return the page as HTML."""
        return _template().render(page=self, anchor=anchor)


def anchor(text: str) -> str:
    """Return a text as the name of a place on a page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def cell(value: Value, form: str = ".4f") -> Cell:
    """Return a value as it is shown: numbers in a form, what is not known as a dash."""
    if value is None:
        return Cell("-")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return Cell(format(value, form), float(value))
    return Cell(value)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
