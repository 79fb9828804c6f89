"""KuaiRec comes from where it is published or from a mirror, with or without its captions."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.sources.download import URL_VARIABLE, Release, fetch_kuairec
from tasks.sources.locate import locate
from tests.integration.flaky_site import QUICK, Site, md5, running_site, serve

CAPTIONS = RAW_FILES["captions"]


def small_zip(*left_out: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, raw in RAW_FILES.items():
            if name not in left_out:
                opened.writestr(f"KuaiRec 2.0/data/{raw.file_name}", ",".join(raw.columns))
    return buffer.getvalue()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_site() as site:
        yield site


@pytest.fixture
def mirror(site: Site, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Serve a small zip and captions, named by the environment; return what to expect of it."""
    content = small_zip("captions")
    captions = ",".join(CAPTIONS.columns).encode()
    site.files = {"/r/KuaiRec.zip": content, f"/r/{CAPTIONS.file_name}": captions}
    monkeypatch.setenv(URL_VARIABLE, site.url.replace("k.bin", "r/KuaiRec.zip"))
    return Release("http://127.0.0.1:9/nobody.zip", len(content), md5(content))


def test_kuairec_from_a_mirror(site: Site, mirror: Release, tmp_path: Path) -> None:
    site.tricks = [serve(500)]
    unpacked = fetch_kuairec(tmp_path / "raw", mirror, QUICK)
    assert unpacked == tmp_path / "raw" / "KuaiRec"
    found = locate(unpacked)
    assert found.missing == ()
    assert found.files == locate(tmp_path / "raw").files
    assert [request["path"] for request in site.asked] == [
        *["/r/KuaiRec.zip"] * 2,
        f"/r/{CAPTIONS.file_name}",
    ]

    site.asked.clear()
    assert fetch_kuairec(tmp_path / "raw", mirror, QUICK) == unpacked
    assert site.asked == []


def test_zip_that_was_brought_by_hand_is_used(site: Site, mirror: Release, tmp_path: Path) -> None:
    (tmp_path / "KuaiRec.zip").write_bytes(site.files.pop("/r/KuaiRec.zip"))
    assert locate(fetch_kuairec(tmp_path, mirror, QUICK)).missing == ()
    assert len(site.asked) == 1  # the captions


@pytest.mark.parametrize("page", [None, b"<html>Please log in</html>"])
def test_kuairec_goes_on_without_captions(
    site: Site,
    mirror: Release,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    page: bytes | None,
) -> None:
    captions = site.files.pop(f"/r/{CAPTIONS.file_name}")
    if page:
        site.files[f"/r/{CAPTIONS.file_name}"] = page
    assert locate(fetch_kuairec(tmp_path, mirror, QUICK)).missing == ("captions",)
    assert CAPTIONS.costs in caplog.text

    site.files[f"/r/{CAPTIONS.file_name}"] = captions  # a later run gets them
    assert locate(fetch_kuairec(tmp_path, mirror, QUICK)).missing == ()


def test_captions_inside_the_zip_are_not_fetched(
    site: Site, mirror: Release, tmp_path: Path
) -> None:
    content = site.files["/r/KuaiRec.zip"] = small_zip()
    release = Release(mirror.url, len(content), md5(content))
    assert locate(fetch_kuairec(tmp_path, release, QUICK)).missing == ()
    assert len(site.asked) == 1


def test_mirror_with_another_file_is_refused(site: Site, mirror: Release, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="another md5"):
        fetch_kuairec(tmp_path, Release(mirror.url, mirror.size, "0" * 32), QUICK)
    assert not (tmp_path / "KuaiRec").exists()


def test_zip_that_is_not_kuairec_leaves_no_folder(
    site: Site, mirror: Release, tmp_path: Path
) -> None:
    content = site.files["/r/KuaiRec.zip"] = small_zip("small_matrix")
    release = Release(mirror.url, len(content), md5(content))
    with pytest.raises(SourceError, match=r"lacks small_matrix\.csv"):
        fetch_kuairec(tmp_path, release, QUICK)
    assert not (tmp_path / "KuaiRec").exists()
