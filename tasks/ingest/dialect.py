"""How a CSV file is written: encoding, header, quotes, line ends; or a refusal that names the cure.

What is accepted is read as the standard library's ``csv`` reads it. Nothing is guessed: a file
whose encoding, separator or line ends are others is refused, not converted.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ContractError
from schemas.raw_files import RawFile

HEADER_BYTES = 2**16
"""A header is far shorter."""
MOST_SHOWN = 80
"""Characters that a message quotes of a file."""
MOST_NAMED = 5

_READ_AT_ONCE = 2**20
_MARKS = {
    codecs.BOM_UTF8: "",
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_FETCH = "The file is cut or damaged: fetch it again"


@dataclass(frozen=True)
class Dialect:
    """How one file is written."""

    columns: tuple[str, ...]
    """Its header, in the order of the file."""
    is_quoted: bool
    """Whether a quote begins a field; where it does not, every line is one row."""
    uneven: tuple[int, ...]
    """Data rows without as many fields as the header; looked for only where quotes are."""
    rows: int | None
    """Data rows up to the last that is not blank; None where no blank line ends the file."""


def dialect_of(path: Path, raw: RawFile) -> Dialect:
    """Look at how ``path`` is written; ContractError names the file, what is odd, and the cure."""
    columns = _header(path, raw)
    if not (raw.is_quoted or _is_quoted_throughout(path)):
        return Dialect(columns, is_quoted=False, uneven=(), rows=_rows_before_blank_end(path))
    uneven, last, rows = _counted_rows(path, len(columns))
    return Dialect(columns, is_quoted=True, uneven=uneven, rows=last if last < rows else None)


def ends_in_a_line(path: Path) -> bool:
    """Tell whether the last line of a file has its end: without, it may be cut off."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return file.read() in {b"\n", b"\r", b""}


def shown(text: object) -> str:
    """Quote what stands in a file: in a line, without control characters, and not too long."""
    quoted = repr(text)
    return quoted if len(quoted) <= MOST_SHOWN else f"{quoted[:MOST_SHOWN]}…'"


def damaged(path: Path, reason: str, row: int | None = None) -> ContractError:
    """Return the error of a file that cannot be read from some row on."""
    where = path.name if row is None else f"{path.name}, data row {row}"
    return ContractError(f"{where}: {reason}. {_FETCH}")


def undecodable(path: Path) -> ContractError | None:
    """Return the error of a file that is not UTF-8, which names its encoding if it can be told.

    Text that was damaged follows text that was not; text in GBK is so from its first character.
    """
    was_utf8 = False
    with path.open("rb") as file:
        for row, line in enumerate(file):
            try:
                was_utf8 |= len(line.decode()) < len(line)
            except UnicodeDecodeError:
                if not was_utf8 and _is_gbk(line):
                    return _encoded(path, "GBK", "GB18030")
                return damaged(
                    path, "not UTF-8 text (if it is in another encoding, save it as UTF-8)", row
                )
    return None


def _encoded(path: Path, name: str, charset: str) -> ContractError:
    return ContractError(
        f"{path.name} is in {name}, not UTF-8. Save it as UTF-8: iconv -f {charset} -t UTF-8"
        f" '{path.name}' > utf8.csv, then give that the old name"
    )


def _is_gbk(line: bytes) -> bool:
    try:
        return any("\u4e00" <= letter <= "\u9fff" for letter in line.decode("gb18030"))
    except UnicodeDecodeError:
        return False


def _header(path: Path, raw: RawFile) -> tuple[str, ...]:
    text = _header_line(path)
    try:
        columns = tuple(next(csv.reader([text], strict=True)))
    except csv.Error as error:
        raise ContractError(f"{path.name}, header: {error}: {shown(text)}") from error
    missing = [c for c in raw.columns if c not in columns]
    unknown = [c for c in columns if c not in raw.columns]
    doubled = sorted({c for c in columns if columns.count(c) > 1})
    if missing or unknown or doubled:
        raise ContractError(
            f"{path.name}, header: missing columns {_named(missing)}, unknown columns"
            f" {_named(unknown)}, doubled columns {_named(doubled)}; expected"
            f" {_named(raw.columns)}{_hint(text, columns, raw)}"
        )
    return columns


def _header_line(path: Path) -> str:
    with path.open("rb") as file:
        start = file.readline(HEADER_BYTES)
        is_all = not file.readline(1)
    mark = next((m for m in _MARKS if start.startswith(m)), b"")
    zeros = "UTF-16" if start and b"\0" in start[:4] and any(start[:4]) else ""
    if encoding := _MARKS.get(mark, zeros):
        raise _encoded(path, encoding, encoding)
    line = start[len(mark) :].rstrip(b"\r\n")
    if b"\0" in line:
        raise ContractError(
            f"{path.name} begins with zeros where its header should be: it was never written to its"
            " end. Fetch it again"
        )
    if not line:
        if is_all:
            raise ContractError(f"{path.name} is empty: expected a header and rows. Fetch it again")
        raise ContractError(f"{path.name}: line 1 is blank: it must be the header. Remove the line")
    if b"\r" in line:
        raise ContractError(
            f"{path.name}: lines end in a carriage return alone. Convert them:"
            f" tr '\\r' '\\n' < '{path.name}' > lines.csv, then give that the old name"
        )
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"{path.name}, header: not UTF-8 text: {error.reason}") from error


def _named(columns: Sequence[str]) -> str:
    rest = len(columns) - MOST_NAMED
    named = ", ".join(shown(c) for c in columns[:MOST_NAMED])
    return f"[{named}]" + (f" and {rest} more" if rest > 0 else "")


def _hint(text: str, columns: Sequence[str], raw: RawFile) -> str:
    """Say what most likely happened to a header."""
    if len(columns) == 1 and (separator := next((s for s in ";\t|" if s in text), None)):
        return f". Its fields are parted by {separator!r}: save it with commas"
    if columns[-1] == "":
        return f". Its lines end in a comma: remove it (sed 's/,\\r*$//' {raw.file_name})"
    if {c.strip().lower() for c in columns} == set(raw.columns):
        return ". Write the names as expected, without spaces and in lower case"
    return ""


def _is_quoted_throughout(path: Path) -> bool:
    """Whether a file whose fields need no quotes was written with quotes around them all.

    Elsewhere in it a quote is a bad character, which must not swallow the rows after it.
    """
    with path.open("rb") as file:
        header, first = (file.readline(HEADER_BYTES).rstrip(b"\r\n") for _ in range(2))
    fields = first.split(b",")
    return b'"' in header or all(len(f) > 1 and f[:1] == f[-1:] == b'"' for f in fields)


def _counted_rows(path: Path, width: int) -> tuple[tuple[int, ...], int, int]:
    """Return the data rows without ``width`` fields, the last that is not blank, and how many.

    Polars fills a short row with nulls, which many columns allow, and lets a stray quote swallow
    rows; so the fields of these files are counted on their own. ContractError at a broken quote.
    """
    uneven = []
    row, last = -1, 0
    with path.open("rb") as file:
        # A bare carriage return is text (captions have some), but not to the csv module
        lines = (line.decode().replace("\r", "") for line in file)
        try:
            for row, fields in enumerate(csv.reader(lines, strict=True)):
                last = row if fields else last
                if len(fields) != width:
                    uneven.append(row)
        except UnicodeDecodeError as error:
            raise undecodable(path) or damaged(path, "not UTF-8 text", row + 1) from error
        except csv.Error as error:
            is_long = "field limit" in str(error)
            reason = "field too long" if is_long else "broken quote"
            raise damaged(path, f"{reason}, {error}", row + 1) from error
    return tuple(u for u in uneven if u <= last), last, max(row, 0)


def _rows_before_blank_end(path: Path) -> int | None:
    """Return how many data rows stand before the blank lines that end a file; None without any."""
    with path.open("rb") as file:
        end = _end_of_text(path)
        file.seek(end)
        if file.read(_READ_AT_ONCE).count(b"\n") < 2:
            return None
        file.seek(0)
        lines, left = 0, end
        while left and (piece := file.read(min(left, _READ_AT_ONCE))):
            lines += piece.count(b"\n")
            left -= len(piece)
    return lines  # the header's line end stands for the last row's


def _end_of_text(path: Path) -> int:
    """Return where the last line that is not blank ends, without its line end."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - _READ_AT_ONCE)
            file.seek(start)
            text = file.read(end - start).rstrip(b"\r\n")
            if text:
                return start + len(text)
            end = start
    return 0
