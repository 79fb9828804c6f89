"""One user's list on the screen: what the videos are, what speaks for them, what they did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from schemas.printable import printable
from tasks.reporting.rendering import rendered, table
from tasks.serving.reasons import Reason

INDENT = 9
HEADERS = ("#", "video", "score", "really", "tags", "caption")
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
    """Lay a list out in at most 100 columns, each video with what is behind it."""
    if not lines:
        return f"{title}\n\nno video to list"
    header, *videos = rendered([_table(lines)]).split("\n")
    shown = [title, "", header]
    for line, video in zip(lines, videos, strict=True):
        shown.append(video)
        if line.reason is not None:
            shown.append(rendered(_behind(line.reason, names)))
    return "\n".join(shown)


def _table(lines: Sequence[Line]) -> Table:
    """Return the videos, one line each: a long caption is cut."""
    made = table(HEADERS, map(_row, lines), left=HEADERS[3:])
    tags, caption = made.columns[4:]
    tags.width, caption.ratio, made.expand = TAGS_WIDTH, 1, True
    return made


def _row(line: Line) -> tuple[str, ...]:
    tags = "not known" if line.tags is None else ", ".join(line.tags) or "-"
    ids = (f"{line.rank:>3}", f"{line.video_id:>5}", f"{line.score:>+7.3f}")
    return (*ids, really_words(line), on_one_line(tags), on_one_line(line.caption or "-"))


def really_words(line: Line) -> str:
    """Say what the user really made of a video, where the block knows."""
    if line.watch_ratio is None:
        return "-"
    return f"{'enjoyed' if line.enjoyed else 'not enjoyed'}, {line.watch_ratio:.2f}"


def _behind(reason: Reason, names: Names) -> Iterator[Padding]:
    said = Table.grid(padding=(0, 1, 0, 0))
    said.add_row("parts:", parts_words(reason))
    yield Padding(said, (0, 0, 0, INDENT))
    if text := behind_words(reason, names):
        line = Text(f"behind: {text}", no_wrap=True, overflow="ellipsis")
        yield Padding(line, (0, 0, 0, INDENT))


def parts_words(reason: Reason) -> str:
    """Say what each component adds to the score, the most first."""
    parts = sorted(reason.parts.items(), key=lambda part: -abs(part[1]))
    return ", ".join(f"{name} {part:+.2f}" for name, part in parts if part) or "none"


def behind_words(reason: Reason, names: Names) -> str:
    """Say which friend or watched video is behind a listed one; empty where none is known."""
    behind = []
    if reason.friend_idx is not None:
        behind.append(f"friend {names.user_ids[reason.friend_idx]} enjoyed it")
    if (like := reason.likeness) is not None:
        near = f"like video {names.video_ids[like.video_idx]}, watched and enjoyed"
        behind.append(f"{near} ({like.component}: cosine {like.cosine:.2f})")
        behind.append(names.captions.get(like.video_idx) or "")
    return on_one_line("; ".join(part for part in behind if part))


def on_one_line(text: str) -> str:
    """Return a caption or a tag on one line, with what would command a terminal escaped."""
    return printable(" ".join(text.split()))
