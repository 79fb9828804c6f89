"""One HTTP request that brings the rest of a file; what has arrived so far is kept and trusted
only if the server still offers the same version of it.

Not here: when to try again, and whether the whole is right (``download``).
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
from tqdm import tqdm

from schemas.errors import SourceError
from tasks.artifacts.locks import flush

_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class InterruptedTransferError(Exception):
    """The transfer broke off in a way that another request may mend."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        """Take what happened, and how long the server asked us to stay away."""
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Part:
    """What has arrived of a file, and the mark (ETag or date) of the version it belongs to."""

    path: Path

    @property
    def _mark_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.etag")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def mark(self) -> str:
        """The version's mark; an empty text if the server gave none, or none fit to send back."""
        if not self._mark_path.exists():
            return ""
        mark = self._mark_path.read_text(encoding="utf-8", errors="replace")
        return mark if mark.isascii() and mark.isprintable() else ""

    def begin(self, mark: str) -> None:
        """Start from nothing with a version that bears ``mark``."""
        self.discard()
        self._mark_path.write_text(mark, encoding="utf-8")

    def discard(self) -> None:
        """Remove what has arrived."""
        self.path.unlink(missing_ok=True)
        self._mark_path.unlink(missing_ok=True)

    def finalize(self, target: Path) -> None:
        """Take the place of ``target`` as a whole file."""
        with self.path.open("rb") as content:
            os.fsync(content.fileno())
        self.path.replace(target)
        flush(target.parent)
        self._mark_path.unlink(missing_ok=True)


def fetch_rest(client: httpx.Client, url: str, part: Part, size: int | None) -> None:
    """Ask for what ``part`` lacks and append it; start from zero where the server insists.

    Raises:
        InterruptedTransferError: the connection broke or stalled, or the server is busy.
        SourceError: the server refuses, or offers a file of another size than ``size``.
        OSError: the disk cannot take it.
    """
    if size is not None and part.size == size:
        return
    with (
        _network_errors(url),
        client.stream("GET", url, headers=_range_headers(part)) as response,
    ):
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _settle_empty_range(response, part)
            return
        _refuse_errors(response, url)
        expected = _expected_size(response, url, size)
        _align(response, part)
        _append_body(response, part, expected)
    if expected is not None and part.size != expected:
        raise InterruptedTransferError(f"only {part.size:,} of {expected:,} bytes came")


def _range_headers(part: Part) -> dict[str, str]:
    if not part.size:
        return {}
    headers = {"Range": f"bytes={part.size}-"}
    if mark := part.mark:
        # a server whose file has changed since then answers with all of the new one
        headers["If-Range"] = mark
    return headers


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise SourceError(f"{url} is no address to download from: {error}.") from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise InterruptedTransferError(reason) from error


def _refuse_errors(response: httpx.Response, url: str) -> None:
    status = f"{response.status_code} {response.reason_phrase}"
    if response.status_code in _BUSY or response.is_server_error:
        after = response.headers.get("Retry-After", "")
        raise InterruptedTransferError(
            f"the server answered {status}", float(after) if after.isdecimal() else 0.0
        )
    if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise SourceError(f"{url} cannot be downloaded: the server answered {status}.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError(f"{url} comes compressed although plain bytes were asked for.")


def _settle_empty_range(response: httpx.Response, part: Part) -> None:
    """Nothing lies behind the part: it is whole, or belongs to a longer, older version."""
    if _content_range(response) != (None, part.size):
        part.discard()
        raise InterruptedTransferError("what had arrived is not of the file now offered")


def _expected_size(response: httpx.Response, url: str, size: int | None) -> int | None:
    if response.status_code == HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
    else:
        _, total = _content_range(response)
    if size is not None and total not in (None, size):
        raise SourceError(
            f"{url} offers {total:,} bytes instead of {size:,}: it is another file. "
            "Check the address."
        )
    return total if size is None else size


def _align(response: httpx.Response, part: Part) -> None:
    """Make the part end where the body starts."""
    mark = _version_mark(response)
    if response.status_code == HTTPStatus.OK:
        part.begin(mark)
        return
    start, _ = _content_range(response)
    if start != part.size or (mark and part.mark not in ("", mark)):
        part.discard()
        raise InterruptedTransferError("the server sent a range that does not fit what had arrived")


def _version_mark(response: httpx.Response) -> str:
    etag: str = response.headers.get("ETag", "")
    # a weak ETag promises the same meaning, not the same bytes
    if etag and not etag.startswith("W/"):
        return etag
    return str(response.headers.get("Last-Modified", ""))


def _content_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """Return first byte and total size from the header, None for what it does not tell."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        return None, None
    start, total = found.groups()
    return int(start) if start else None, None if total == "*" else int(total)


def _append_body(response: httpx.Response, part: Part, expected: int | None) -> None:
    bar = tqdm(
        desc=part.path.stem,
        initial=part.size,
        total=expected,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=None,  # off where stderr is no terminal
    )
    with bar, part.path.open("ab") as sink:
        for chunk in response.iter_raw():
            sink.write(chunk)
            bar.update(len(chunk))
            if expected is not None and sink.tell() > expected:
                raise SourceError(f"{response.url} sends more than the {expected:,} bytes it has.")
