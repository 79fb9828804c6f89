"""Lines and tables as text: of one width wherever they go, in bold where a terminal shows it."""

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TypeAlias

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from schemas.printable import printable

WIDTH = 100
"""Columns of every table; a line may be longer, as commands and paths are copied whole."""

Printed: TypeAlias = str | RenderableType
"""A line, or what rich lays out in WIDTH columns."""


class _Printable:
    """What rich lays out, with nothing in it that commands a terminal."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield segment._replace(text=printable(segment.text))


def rendered(things: Iterable[Printed], *, styled: bool = False) -> str:
    """Lay lines and tables out, below each other; ``styled`` has the codes of a terminal in it.

    Text of others is neither read as rich's markup nor lets anything command the terminal.
    """
    to = StringIO()
    console = Console(
        file=to,
        width=WIDTH,
        force_terminal=styled,
        color_system="standard" if styled else None,
        force_jupyter=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    for thing in things:
        if isinstance(thing, str):
            console.print(Text(printable(thing)), soft_wrap=True)
        else:
            console.print(_Printable(thing))
    return "\n".join(line.rstrip() for line in to.getvalue().removesuffix("\n").split("\n"))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()) -> Table:
    """Return a table without lines; columns stand to the right but for those named in ``left``."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in headers:
        made.add_column(header, justify="left" if header in left else "right", no_wrap=True)
    for row in rows:
        made.add_row(*map(printable, row))
    return made
