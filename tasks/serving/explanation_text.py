"""One user's list on the screen: what the videos are, what speaks for them, what he really did."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.printable import printable
from tasks.serving.reasons import Reason

WIDTH = 100
INDENT = " " * 9
HEADER = "  #  video    score  really             tags                      caption"
TAGS_WIDTH = 24


@dataclass(frozen=True)
class Line:
    """One listed video, all of it by id; None where it is not known."""

    rank: int
    video_id: int
    score: float
    watch_ratio: float | None
    enjoyed: bool | None
    tags: Sequence[str] | None
    caption: str | None
    reason: Reason | None = None


@dataclass(frozen=True)
class Names:
    """Ids by index, and captions by video index: how reasons name a friend and a video."""

    user_ids: Sequence[int]
    video_ids: Sequence[int]
    captions: Mapping[int, str | None]


def as_text(title: str, lines: Sequence[Line], names: Names) -> str:
    """Lay a list out in at most 100 columns."""
    shown = [title, "", HEADER]
    for line in lines:
        shown.append(_first(line))
        if line.reason is not None:
            shown += _behind(line.reason, names)
    return "\n".join(shown if lines else [title, "", "no video to list"])


def _first(line: Line) -> str:
    tags = "not known" if line.tags is None else ", ".join(line.tags) or "-"
    row = (
        f"{line.rank:>3}{line.video_id:>7}{line.score:>+9.3f}  {_really(line):<19}"
        f"{padded(tags, TAGS_WIDTH)}  "
    )
    return row + cut(line.caption or "-", WIDTH - columns(row))


def _really(line: Line) -> str:
    if line.watch_ratio is None:
        return "-"
    return f"{'enjoyed' if line.enjoyed else 'not enjoyed'}, {line.watch_ratio:.2f}"


def _behind(reason: Reason, names: Names) -> list[str]:
    parts = sorted(reason.parts.items(), key=lambda part: -abs(part[1]))
    said = [f"{name} {part:+.2f}" for name, part in parts if part]
    lines = textwrap.wrap(
        "parts: " + (", ".join(said) or "none"),
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=INDENT + " " * 7,
    )
    behind = []
    if reason.friend_idx is not None:
        behind.append(f"friend {names.user_ids[reason.friend_idx]} enjoyed it")
    if (like := reason.likeness) is not None:
        near = f"like video {names.video_ids[like.video_idx]}, watched and enjoyed"
        behind.append(f"{near} ({like.component}: cosine {like.cosine:.2f})")
        behind.append(names.captions.get(like.video_idx) or "")
    text = "; ".join(part for part in behind if part)
    return [*lines, INDENT + cut(f"behind: {text}", WIDTH - len(INDENT))] if text else lines


def cut(text: str, width: int) -> str:
    """Return the text on one line of at most so many columns; Chinese characters take two.

    Captions and tags are text of others: what would command the terminal is escaped.
    """
    text = printable(" ".join(text.split()))
    if columns(text) <= width:
        return text
    kept = ""
    for character in text:
        if columns(kept + character) > width - 1:
            break
        kept += character
    return kept + "…"


def padded(text: str, width: int) -> str:
    """Return the text cut to a width and filled up to it."""
    short = cut(text, width)
    return short + " " * (width - columns(short))


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
