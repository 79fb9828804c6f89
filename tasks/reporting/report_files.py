"""The pages of nights under a root, with what the index says of each in a file beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.artifacts import StoredFile
from tasks.artifacts.backend import Backend
from tasks.reporting.night_page import index_page
from tasks.reporting.summary import REPORTS, RUN_DIGITS

PAGE = re.compile(rf"/{REPORTS}/\d{{4}}-\d\d-\d\d-(?P<run>[0-9a-f]{{{RUN_DIGITS}}})\.(html|json)$")
MADE_FROM, SHA256 = "made_from", "sha256"
"""What is kept of a page beside what the index says: all that it was made from, and its bytes."""


def is_written(files: Backend, place: str, made_from: str) -> bool:
    """Whether a page lies in its place as it was made from that, and the index beside it."""
    try:
        line = dict(json.loads(files.read(line_of(place))))
        files.read(index_of(place))
        page = files.read(place)
    except (OSError, ValueError, TypeError):
        return False
    return [line.get(MADE_FROM), line.get(SHA256)] == [made_from, hashlib.sha256(page).hexdigest()]


def write_page(files: Backend, place: str, page: str, line: Mapping[str, Any]) -> None:
    """Write a page and what the index says of it, then the index of all that are there."""
    written = page.encode()
    files.write(place, written)
    kept = {**line, SHA256: hashlib.sha256(written).hexdigest()}
    files.write(line_of(place), json.dumps(kept, ensure_ascii=False, indent=1).encode())
    write_index(files, place)


def write_index(files: Backend, place: str) -> None:
    """Write the index of all that are there, beside a page, whether that is there or not."""
    names = [name for name in files.names(place.rpartition("/")[0]) if name.endswith(".json")]
    lines = [json.loads(files.read(name)) for name in names]
    files.write(index_of(place), index_page(lines).render().encode())


def remove_pages(files: Backend, paths: Sequence[str]) -> None:
    """Remove pages and what the index says of them: that first, so that no link leads nowhere."""
    lines = [path for path in paths if path.endswith(".json")]
    for path in lines:
        files.remove(path)
    for path in paths[:1]:
        write_index(files, path)
    for path in set(paths).difference(lines):
        files.remove(path)


def pages_without_run(files: Iterable[StoredFile], kept: Iterable[str]) -> list[StoredFile]:
    """Return, of some files of a root, the pages and their lines whose run is not kept, by ids."""
    short = {run_id[:RUN_DIGITS] for run_id in kept}
    found = ((file, PAGE.search(file.path)) for file in files)
    return [file for file, page in found if page is not None and page["run"] not in short]


def line_of(place: str) -> str:
    """Return where it is kept what the index says of a page."""
    return f"{place.removesuffix('.html')}.json"


def index_of(place: str) -> str:
    """Return where the index is that lists a page."""
    return f"{place.rpartition('/')[0]}/index.html"
