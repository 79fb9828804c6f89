"""Downloads over a real connection that breaks, stalls, lies and changes its mind."""

import os
import pty
import resource
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.errors import SourceError
from tasks.sources.download import download, fetch_kuairec
from tests.integration.flaky_site import (
    CONTENT,
    QUICK,
    Handler,
    Site,
    md5,
    quietly,
    running_site,
    serve,
    status,
    whole,
)

HALF = len(CONTENT) // 2
ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_site() as site:
        yield site


@pytest.fixture
def fetch(site: Site, tmp_path: Path) -> Callable[..., Path]:
    """Download the site's file with the right md5 and size, unless told otherwise."""

    def run(md5: str | None = md5(CONTENT), size: int | None = len(CONTENT)) -> Path:
        return download(site.url, tmp_path / "new" / "k.bin", md5, size, QUICK)

    return run


def leftovers(target: Path) -> set[str]:
    return {file.name for file in target.parent.iterdir()} - {"k.bin", "k.bin.lock"}


@pytest.mark.parametrize("size", [None, len(CONTENT)])
@pytest.mark.parametrize("digest", [None, md5(CONTENT)])
def test_good_server(site: Site, fetch: Callable[..., Path], digest: str, size: int) -> None:
    target = fetch(digest, size)
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == set()
    assert site.asked[0]["accept-encoding"] == "identity"

    fetch(digest, size)
    assert len(site.asked) == 1  # reused without the network


def test_progress_is_silent_where_nobody_watches(
    fetch: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    fetch()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("digest", [None, md5(CONTENT)])
@pytest.mark.parametrize("is_stalling", [False, True])
def test_broken_transfer_is_resumed(
    site: Site, fetch: Callable[..., Path], digest: str | None, is_stalling: bool
) -> None:
    site.tricks = [serve(HALF, is_stalling=is_stalling)]
    assert fetch(digest, None).read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={HALF}-"]
    assert site.asked[1]["if-range"] == '"v1"'


def test_slow_progress_is_not_given_up(site: Site, fetch: Callable[..., Path]) -> None:
    site.tricks = [serve(20_000) for _ in range(10)]  # far more cuts than QUICK.attempts
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [None] + [f"bytes={20_000 * i}-" for i in range(1, 11)]


def test_no_progress_is_given_up_and_resumed_by_a_later_run(
    site: Site, fetch: Callable[..., Path]
) -> None:
    site.tricks = [serve(HALF), serve(0), serve(0), serve(0)]
    with pytest.raises(SourceError, match=f"3 requests in a row.*{HALF:,} bytes are kept"):
        fetch()
    assert fetch().read_bytes() == CONTENT
    assert site.ranges[-1] == f"bytes={HALF}-"


def test_busy_server_is_asked_again(site: Site, fetch: Callable[..., Path]) -> None:
    site.tricks = [status(503), status(408), status(500)]
    site.tricks[1:1] = [serve(HALF)]  # bytes that come set the count back
    assert fetch().read_bytes() == CONTENT
    assert len(site.asked) == 5


def test_server_says_how_long_to_wait(site: Site, tmp_path: Path) -> None:
    site.tricks = [status(429, Retry_After=3600)]
    start = time.monotonic()
    download(site.url, tmp_path / "k.bin", None, patience=replace(QUICK, max_wait_s=0.4))
    assert 0.4 <= time.monotonic() - start < 30  # but no longer than our patience


def test_server_that_stays_down(site: Site, fetch: Callable[..., Path]) -> None:
    site.tricks = [status(503)] * 3
    with pytest.raises(SourceError, match="the server answered 503"):
        fetch()
    assert len(site.asked) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 204])
def test_refusal_is_final(site: Site, fetch: Callable[..., Path], code: int) -> None:
    site.tricks = [status(code)]
    with pytest.raises(SourceError, match=f"{site.url} .* answered {code}"):
        fetch()
    assert len(site.asked) == 1


def test_redirect_is_followed(site: Site, fetch: Callable[..., Path]) -> None:
    site.tricks = [status(302, Location="/k.bin")]
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/k", "k.bin", "http://127.0.0.1:none/k"])
def test_address_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceError, match="is no address to download from"):
        download(url, tmp_path / "k.bin", None, patience=QUICK)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="3 requests in a row"):
        download("http://127.0.0.1:9/k.bin", tmp_path / "k.bin", None, patience=QUICK)


def test_server_that_ignores_ranges(site: Site, fetch: Callable[..., Path]) -> None:
    site.tricks = [serve(HALF), whole()]
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={HALF}-"]


def test_server_that_ignores_ranges_and_always_cuts(site: Site, fetch: Callable[..., Path]) -> None:
    def cut(handler: Handler) -> None:
        handler.answer(200, {"Content-Length": len(CONTENT)})
        handler.wfile.write(CONTENT[:HALF])

    site.tricks = [cut] * 20
    with pytest.raises(SourceError, match="3 requests in a row"):
        fetch()
    assert len(site.asked) == 4  # one that got somewhere, three that got no further


def test_body_of_unknown_length_is_compared_with_the_size(
    site: Site, fetch: Callable[..., Path]
) -> None:
    def cut(handler: Handler) -> None:
        handler.answer(200)
        handler.wfile.write(CONTENT[:HALF])

    site.tricks = [cut]
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={HALF}-"]


def test_wrong_range_is_not_appended(site: Site, fetch: Callable[..., Path]) -> None:
    def off_by_ten(handler: Handler) -> None:
        span = f"bytes {HALF - 10}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.answer(206, {"Content-Range": span})
        handler.wfile.write(CONTENT[HALF - 10 :])

    site.tricks = [serve(HALF), off_by_ten]
    assert fetch().read_bytes() == CONTENT
    assert site.ranges[-1] is None


@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("later_run", [True, False])
def test_file_that_changes_between_attempts(
    site: Site, fetch: Callable[..., Path], heeds_if_range: bool, later_run: bool
) -> None:
    newer = CONTENT[::-1]

    def change(handler: Handler) -> None:
        site.files["/k.bin"], site.etag = newer, '"v2"'
        if not heeds_if_range:
            del handler.headers["If-Range"]
        serve()(handler)

    site.tricks = [serve(HALF)]
    if later_run:
        site.tricks += [serve(0)] * 3
        with pytest.raises(SourceError):
            fetch(None, None)
    site.tricks += [change]
    assert fetch(None, None).read_bytes() == newer


def test_file_that_shrinks_below_what_has_arrived(site: Site, fetch: Callable[..., Path]) -> None:
    def shrink(handler: Handler) -> None:
        site.files["/k.bin"] = b"new"
        del handler.headers["If-Range"]
        serve()(handler)

    site.tricks = [serve(HALF), shrink]
    assert fetch(None, None).read_bytes() == b"new"


def test_weak_etag_is_no_mark(site: Site, fetch: Callable[..., Path]) -> None:
    site.etag = 'W/"v1"'
    site.tricks = [serve(HALF)]
    assert fetch().read_bytes() == CONTENT
    assert "if-range" not in site.asked[1]


def test_part_without_mark_or_md5_is_not_trusted(site: Site, fetch: Callable[..., Path]) -> None:
    site.etag = ""
    site.tricks = [serve(HALF), serve(0), serve(0), serve(0)]
    with pytest.raises(SourceError):
        fetch(None, None)
    fetch(None, None)
    assert site.ranges[-1] is None


def test_damaged_mark_is_not_sent(site: Site, fetch: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "k.bin.part").write_bytes(CONTENT[:HALF])
    (folder / "k.bin.part.etag").write_bytes(b"\x00\xff\r\n")
    assert fetch().read_bytes() == CONTENT
    assert "if-range" not in site.asked[0]
    assert site.ranges == [f"bytes={HALF}-"]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_part_that_is_whole_already(
    site: Site, fetch: Callable[..., Path], tmp_path: Path, size: int | None
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "k.bin.part").write_bytes(CONTENT)
    assert fetch(size=size).read_bytes() == CONTENT
    assert site.ranges == ([f"bytes={len(CONTENT)}-"] if size is None else [])  # 416: no more


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_part_that_is_too_long(
    site: Site, fetch: Callable[..., Path], tmp_path: Path, size: int | None
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "k.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(size=size).read_bytes() == CONTENT
    assert site.ranges[-1] is None


def test_corrupted_bytes_are_fetched_once_more(site: Site, fetch: Callable[..., Path]) -> None:
    damaged = CONTENT[:HALF] + bytes(10) + CONTENT[HALF + 10 :]
    site.tricks = [whole(damaged)]
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [None, None]


def test_corrupted_part_of_an_earlier_run(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "k.bin.part").write_bytes(bytes(HALF))
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [f"bytes={HALF}-", None]


def test_wrong_md5_twice(site: Site, fetch: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"twice arrived with another md5 than {'0' * 32}"):
        fetch("0" * 32)
    assert len(site.asked) == 2
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"k.bin.lock"}


def test_wrong_size_is_refused_before_it_is_fetched(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    site.tricks = [serve(HALF), whole(b"<html>Under maintenance</html>")]
    with pytest.raises(SourceError, match="offers 30 bytes instead of 300,000"):
        fetch()
    assert (tmp_path / "new" / "k.bin.part").read_bytes() == CONTENT[:HALF]


def test_endless_body_is_cut_off(site: Site, fetch: Callable[..., Path]) -> None:
    def endless(handler: Handler) -> None:
        handler.answer(200)
        while True:
            handler.wfile.write(CONTENT)

    site.tricks = [quietly(endless)]
    with pytest.raises(SourceError, match="sends more than the 300,000 bytes"):
        fetch()


def test_compressed_body_is_refused(site: Site, fetch: Callable[..., Path]) -> None:
    site.tricks = [whole(Content_Encoding="gzip")]
    with pytest.raises(SourceError, match="comes compressed"):
        fetch()


def test_target_that_is_damaged_is_replaced(fetch: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "k.bin").write_bytes(CONTENT[:-1] + b"!")
    assert fetch().read_bytes() == CONTENT


def test_full_disk(site: Site, fetch: Callable[..., Path], tmp_path: Path) -> None:
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, hard))
    try:
        with pytest.raises(SourceError, match=r"File too large.*Make room") as caught:
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path / "new" / "k.bin") in str(caught.value)
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={HALF}-"]


def test_folder_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="choose a folder that can be written"):
        download(site.url, tmp_path / "file" / "k.bin", None)
    with pytest.raises(SourceError, match="Choose a folder that can be written"):
        fetch_kuairec(tmp_path / "file" / "new")
    assert site.asked == []


def start_process(site: Site, target: Path, stderr: int | None = None) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from tasks.sources.download import download; "
        "download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
    )
    command = [sys.executable, "-c", code, site.url, str(target), md5(CONTENT)]
    return subprocess.Popen(command, cwd=ROOT, stderr=stderr)


def test_two_processes_at_once(site: Site, tmp_path: Path) -> None:
    def slow(handler: Handler) -> None:
        body = handler.rest_of_file() or b""
        for start in range(0, len(body), len(body) // 5 + 1):
            handler.wfile.write(body[start : start + len(body) // 5 + 1])
            time.sleep(0.15)

    site.tricks = [slow, slow]
    target = tmp_path / "k.bin"
    both = [start_process(site, target) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert len(site.asked) == 1  # who came second waited, and reused


def test_killed_process_is_resumed(site: Site, fetch: Callable[..., Path], tmp_path: Path) -> None:
    site.tricks = [serve(HALF, is_stalling=True)]
    part = tmp_path / "new" / "k.bin.part"
    process = start_process(site, tmp_path / "new" / "k.bin")
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()

    kept = part.stat().st_size
    assert 0 < kept <= HALF
    assert fetch().read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={kept}-"]


def test_progress_bar_on_a_terminal_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    (tmp_path / "k.bin.part").write_bytes(CONTENT[:HALF])
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 100))
    process = start_process(site, tmp_path / "k.bin", stderr)
    assert process.wait(30) == 0
    shown = os.read(terminal, 100_000).decode()
    os.close(stderr)
    os.close(terminal)
    assert "k.bin:  50%" in shown
    assert "293k/293k" in shown
