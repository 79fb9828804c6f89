"""A root on S3 or a store that speaks as S3 does.

What it can more than others: a manifest is put only where none is (``If-None-Match``), or in the
place of the one that was looked at (``If-Match``); and it keeps each file's SHA-256 with the file,
so that whether all is there can be asked without reading it. Address and credentials are those of
the environment (``AWS_ENDPOINT_URL``, ``AWS_PROFILE``, ...): none is ever a setting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import s3fs
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as NoConnectionError,
)
from fsspec.config import conf

from schemas.artifacts import FileEntry
from schemas.errors import RootUnavailableError, StoreError
from tasks.artifacts.lease import Lease
from tasks.artifacts.presence import Presence
from tasks.artifacts.remote_backend import RemoteBackend, reason

logger = logging.getLogger(__name__)

T = TypeVar("T")

CHECKSUM = "sha256"
"""Metadata of every file."""

AT_ONCE = 2
"""Parts of a large file that are in memory at a time, of 50 MiB each."""

MAY_PASS = {
    *("500", "502", "503", "504", "409", "InternalError", "ServiceUnavailable", "SlowDown"),
    *("RequestTimeout", "OperationAborted", "ConditionalRequestConflict"),
}
"""S3's own names of errors after which another try may do."""

OF_ANOTHER_VERSION = {"PreconditionFailed", "412", "NoSuchKey", "404"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
WRONG = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId"}
DENIED = {"AccessDenied", "AllAccessDisabled", "403"}

KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


class S3Backend(RemoteBackend):
    """A bucket, or what begins with a prefix in one."""

    _fs: s3fs.S3FileSystem

    @classmethod
    def of(cls, root: str) -> Self:
        """Name a root; nothing is asked yet."""
        # What others have written since must be seen; who waits for an answer is told so by us
        given = conf.get("s3", {}).get("config_kwargs", {})
        fs = s3fs.S3FileSystem(
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={"retries": {"total_max_attempts": 2}, **given},
        )
        fs.retries = 1
        return cls(fs, fs.unstrip_protocol(fs._strip_protocol(root)))

    def prepare(self) -> None:
        """Do nothing: a bucket that is not there is not for us to make."""

    def read(self, path: str) -> bytes:
        """Return what is in a file, by one request; FileNotFoundError if it is not there."""
        return bytes(self._ask(self._fs.cat_file, path, max_concurrency=1))

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if it is not there; return whether it was written."""
        return self.replace(path, data, None) is not None

    def turn(self, work: str) -> AbstractContextManager[None]:
        """Wait until nobody else does ``work`` on this root, on whatever machine."""
        return turns(super().turn(work), Lease(self, f"{self.root}/.turns/{work}", work))

    def at_work(self) -> AbstractContextManager[None]:
        """Use the root beside others, on whatever machine; wait while somebody wants it at rest."""
        return turns(super().at_work(), Presence(self).at_work())

    def at_rest(self) -> AbstractContextManager[None]:
        """Wait until nobody is at work on the root, on whatever machine."""
        return turns(super().at_rest(), Presence(self).at_rest())

    def is_at_rest(self) -> bool:
        """Whether nobody is at work on the root, on whatever machine."""
        return super().is_at_rest() and Presence(self).is_nobody()

    def version(self, path: str) -> str | None:
        """Return a file's ETag, None where there is no file."""
        head = self._head(path)
        return None if head is None else str(head["ETag"])

    def replace(self, path: str, data: bytes, version: str | None) -> str | None:
        """Write a file if it is still of a version; return its new one, None if it was not."""
        condition = {"mode": "create"} if version is None else {"IfMatch": version}
        try:
            return str(self._ask(self._fs.pipe_file, path, data, **condition)["ETag"])
        except OSError as error:
            if code_of(error) not in OF_ANOTHER_VERSION:
                raise
            return self.version(path) if self._holds(path, data) else None

    def _check_conditions(self, probe: str) -> None:
        if self.create(probe, b"again"):
            logger.warning(
                "root %s writes also where it should not (it knows no If-None-Match): of machines"
                " that make the same at once, the last one wins. Let one at a time work on it",
                self.root,
            )

    def _parents_of(self, path: str) -> None:
        """Do nothing: there are no folders."""

    def _head(self, path: str) -> dict[str, Any] | None:
        bucket, key, _ = self._fs.split_path(path)
        try:
            found: dict[str, Any] = self._ask(
                self._fs.call_s3, "head_object", Bucket=bucket, Key=key
            )
        except FileNotFoundError:
            return None
        return found

    def _put(self, file: Path, path: str, entry: FileEntry) -> None:
        metadata = {CHECKSUM: entry.sha256}
        self._ask(self._fs.put_file, str(file), path, max_concurrency=AT_ONCE, Metadata=metadata)

    def _get(self, path: str, file: Path) -> None:
        self._ask(self._fs.get_file, path, str(file), max_concurrency=AT_ONCE)

    def _check_file(self, path: str, entry: FileEntry) -> None:
        """Compare what S3 knows of a file; one that came by other ways is read."""
        head = self._head(path)
        if head is None:
            raise StoreError(f"{path} is not there")
        checksum = head.get("Metadata", {}).get(CHECKSUM)
        if checksum is None:
            super()._check_file(path, entry)
        elif (head["ContentLength"], checksum) != (entry.bytes, entry.sha256):
            raise StoreError(f"{path} is damaged: its checksum is not the manifest's")

    def _ask(self, call: Callable[..., T], *given: Any, **named: Any) -> T:
        try:
            return super()._ask(call, *given, **named)
        except ExpiredError:
            logger.warning(
                "the credentials for root %s have expired: looking for newer ones", self.root
            )
            self._fs.connect(refresh=True)  # a profile's file may have been written anew
            return super()._ask(call, *given, **named)

    def _may_pass(self, error: BaseException) -> bool:
        if isinstance(error, SSLError):
            return False
        lost = (HTTPClientError, NoConnectionError, aiohttp.ClientError)
        return isinstance(error, lost) or code_of(error) in MAY_PASS or super()._may_pass(error)

    def _meant(self, error: Exception) -> RootUnavailableError | None:
        """Return what an error says of credentials, bucket or way, with the cure."""
        if self._may_pass(error):
            return self._unreachable(error)
        code = code_of(error)
        if code in {"400", "403"}:  # an answer without a body: another question has one
            error = self._refusal() or error
            code = code_of(error)
        bucket = self._fs.split_path(self.root)[0]
        if code in EXPIRED:
            return ExpiredError(
                f"the credentials for root {self.root} have expired: get new ones ({KEYS});"
                " what is finished is kept: run again to go on"
            )
        if code == "NoSuchBucket":
            return RootUnavailableError(
                f"root {self.root}: there is no bucket {bucket}. Make it (aws s3 mb s3://{bucket}),"
                " or give another --root"
            )
        if code in WRONG or isinstance(error, NoCredentialsError | CredentialRetrievalError):
            return RootUnavailableError(
                f"root {self.root}: the credentials are missing or wrong"
                f" ({code or reason(error)}). Put the right ones into the environment: {KEYS}"
            )
        if code in DENIED:
            return RootUnavailableError(
                f"root {self.root}: these credentials may not do all that is needed ({code}). Allow"
                " s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject"
                " on what is in it, or give another --root"
            )
        if isinstance(error, BotoCoreError | ValueError):
            return RootUnavailableError(
                f"root {self.root} cannot be asked: {reason(error)}. Correct the environment's"
                " AWS_ variables, or give another --root"
            )
        return None

    def _refusal(self) -> Exception | None:
        """Ask what is answered in words, and return the error that it ends in."""
        bucket = self._fs.split_path(self.root)[0]
        try:
            self._fs.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
        except Exception as error:  # noqa: BLE001  # it is what we want to know
            return error
        return None


class ExpiredError(RootUnavailableError):
    """The credentials have expired; there may be newer ones."""


def code_of(error: BaseException | None) -> str | None:
    """Return S3's own name of an error, None where it is not of S3's answer."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        error = error.__cause__
    return None


@contextmanager
def turns(*ones: AbstractContextManager[None]) -> Iterator[None]:
    """Hold all of several turns, taken in their order."""
    with ExitStack() as stack:
        for one in ones:
            stack.enter_context(one)
        yield
