"""Downloads a file until it is whole and right, and fetches KuaiRec from where it is published.

Not here: a single HTTP request (``transfer``), unpacking (``archive``).
"""

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exception,
    wait_exponential_jitter,
)

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.artifacts.locks import locked
from tasks.sources.transfer import InterruptedTransferError, Part, fetch_rest
from tasks.sources.unzip import unpack

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Release:
    """A published zip file: where it is, and how to know that it is the right one."""

    url: str
    size: int
    md5: str


KUAIREC = Release(
    url="https://zenodo.org/records/18164998/files/KuaiRec.zip",
    size=431_964_858,
    md5="261550d472c48eff4990fb13c0e5bcf7",
)
URL_VARIABLE = "GRAIL_KUAIREC_URL"
"""Environment variable with the address of a mirror; the bytes must be the same."""

_CAPTIONS = RAW_FILES["captions"]


@dataclass(frozen=True)
class Patience:
    """How long to put up with a bad connection."""

    attempts: int = 8
    """Requests in a row that bring nothing new before we give up."""
    stall_s: float = 60.0
    """Seconds without a byte after which a connection is dropped."""
    first_wait_s: float = 1.0
    """Pause after the first such request; each further one doubles it, with jitter."""
    max_wait_s: float = 60.0


PATIENT = Patience()


def download(
    url: str, target: Path, md5: str | None, size: int | None = None, patience: Patience = PATIENT
) -> Path:
    """Download ``url`` to ``target`` and return it; reuse it if it is there and right.

    What has arrived lies in ``<target>.part`` until the whole is checked, and is resumed by a
    later attempt, also of a later process. ``<target>.lock`` keeps two processes apart. Without
    ``md5`` a file counts as right when its length is.

    Raises:
        SourceError: the server refuses, gives up too often in a row, or sends content with
            another md5 twice; or the disk is full or the folder cannot be written.
    """
    try:
        with locked(target.with_name(f"{target.name}.lock"), f"the download of {target.name}"):
            if not _is_right(target, md5, size):
                _download_anew(url, target, md5, size, patience)
    except OSError as error:
        raise SourceError(
            f"Cannot save {url} as {target}: {error}. Make room on the disk or choose a folder "
            "that can be written, and run again: what has arrived is kept."
        ) from error
    return target


def fetch_kuairec(folder: Path, release: Release = KUAIREC, patience: Patience = PATIENT) -> Path:
    """Download KuaiRec into ``folder`` and return the folder it is unpacked to.

    ``folder/KuaiRec`` is reused if it is there. The captions, published beside the zip, are
    optional: if they cannot be had, a warning says so.

    Raises:
        SourceError: the zip cannot be downloaded or unpacked.
    """
    url = os.environ.get(URL_VARIABLE) or release.url
    unpacked = folder / "KuaiRec"
    try:
        with locked(folder / ".fetch.lock", f"fetching KuaiRec into {folder}"):
            # unpacking is all or nothing, so a folder that is there is whole
            if not unpacked.exists():
                archive = folder / "KuaiRec.zip"
                download(url, archive, release.md5, release.size, patience)
                unpack(archive, unpacked)
            _fetch_captions(url, unpacked, patience)
    except OSError as error:
        raise SourceError(
            f"Cannot write to {folder}: {error}. Choose a folder that can be written."
        ) from error
    return unpacked


def _download_anew(
    url: str, target: Path, md5: str | None, size: int | None, patience: Patience
) -> None:
    if target.exists():
        logger.warning("%s is there but not as published; it will be replaced.", target)
    part = Part(target.with_name(f"{target.name}.part"))
    if md5 is None and not part.mark:
        part.discard()  # nothing could tell whether the rest fits to it
    for _ in range(2):
        _fill(url, part, size, patience)
        if _is_right(part.path, md5, size):
            part.finalize(target)
            return
        part.discard()
        logger.warning("%s arrived with another md5 than %s.", url, md5)
    raise SourceError(
        f"{url} has twice arrived with another md5 than {md5}, so it is damaged or another file. "
        f"Check the address, or get the file by another way and save it as {target}."
    )


def _fill(url: str, part: Part, size: int | None, patience: Patience) -> None:
    """Send requests until the part is whole; give up after several that brought nothing."""
    retrying = Retrying(
        retry=retry_if_exception_type(InterruptedTransferError),
        after=_begin_count_anew_on_progress(part),
        stop=stop_after_attempt(patience.attempts),
        wait=_pause(patience),
        before_sleep=_report_pause(url),
        reraise=True,
    )
    plain = {"Accept-Encoding": "identity"}  # ranges and md5 are of the file as it is stored
    with httpx.Client(timeout=patience.stall_s, follow_redirects=True, headers=plain) as client:
        try:
            retrying(fetch_rest, client, url, part, size)
        except InterruptedTransferError as error:
            raise SourceError(
                f"{url} does not arrive: {patience.attempts} requests in a row brought nothing "
                f"new, the last one because {error}. {part.size:,} bytes are kept in {part.path}: "
                "run again to go on from there."
            ) from error


def _begin_count_anew_on_progress(part: Part) -> Callable[[RetryCallState], None]:
    """A slow server that cuts every connection still gets us there, as long as bytes come."""
    most = part.size

    def after(state: RetryCallState) -> None:
        nonlocal most
        if part.size > most:
            most = part.size
            state.attempt_number = 0

    return after


def _pause(patience: Patience) -> Callable[[RetryCallState], float]:
    backoff = wait_exponential_jitter(
        multiplier=patience.first_wait_s, max=patience.max_wait_s, jitter=patience.first_wait_s
    )

    def asked_for(error: BaseException) -> float:
        seconds = error.retry_after_s if isinstance(error, InterruptedTransferError) else 0.0
        return min(seconds, patience.max_wait_s)

    return backoff + wait_exception(asked_for)


def _report_pause(url: str) -> Callable[[RetryCallState], None]:
    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning("%s broke off: %s. Again in %.0f s.", url, error, state.upcoming_sleep)

    return before_sleep


def _is_right(path: Path, md5: str | None, size: int | None) -> bool:
    if not path.exists() or size not in (None, path.stat().st_size):
        return False
    if md5 is None:
        return True
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == md5


def _fetch_captions(zip_url: str, unpacked: Path, patience: Patience) -> None:
    if any(unpacked.rglob(_CAPTIONS.file_name)):
        return
    url = urljoin(zip_url, _CAPTIONS.file_name)
    target = unpacked / _CAPTIONS.file_name
    try:
        download(url, target, md5=None, patience=replace(patience, attempts=2))
        _require_captions_header(target)
    except SourceError as error:
        logger.warning("Going on without captions: %s. %s", _CAPTIONS.costs, error)


def _require_captions_header(path: Path) -> None:
    """No md5 of the file is published, and some servers answer with a web page."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        header = lines.readline(1000)
    if not header.startswith(_CAPTIONS.columns[0]):
        path.unlink()
        raise SourceError(f"What arrived as {path.name} is no table of captions.")
