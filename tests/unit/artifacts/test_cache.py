"""The cache of remote artefacts: whole, bounded, and nobody's in use is taken away."""

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from schemas.artifacts import FileEntry
from schemas.errors import ConfigError, StoreError
from tasks.artifacts.cache import Cache, Pins, bytes_of

PROJECT = Path(__file__).parents[3]
SIZE = 1000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Room for two entries and a half."""
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GRAIL_CACHE_MAXSIZE", "2.5K")
    return Cache.of_user()


def body(content: str) -> bytes:
    return content.encode() * SIZE


def files_of(content: str) -> dict[str, FileEntry]:
    return {"a/b": FileEntry(bytes=SIZE, sha256=sha256(body(content)).hexdigest())}


def writing(data: bytes, fetched: list[Path] | None = None) -> Callable[[Path], None]:
    def fetch(target: Path) -> None:
        (target / "a").mkdir()
        (target / "a" / "b").write_bytes(data)
        if fetched is not None:
            fetched.append(target)

    return fetch


def get(cache: Cache, content: str, fetched: list[Path] | None = None) -> Path:
    """Use an entry, and let it go."""
    pins: Pins = {}
    place = cache.entry(content, files_of(content), writing(body(content), fetched), pins)
    assert (place / "a" / "b").read_bytes() == body(content)
    for pin in pins.values():
        os.close(pin)
    return place


def age(place: Path) -> None:
    """Say that an entry was used an hour before it was."""
    before = place.stat().st_mtime - 3600
    os.utime(place, (before, before))


def test_what_is_there_is_fetched_once(cache: Cache) -> None:
    fetched: list[Path] = []
    assert get(cache, "x", fetched) == get(cache, "x", fetched)
    assert len(fetched) == 1


def test_what_is_damaged_is_fetched_again(cache: Cache) -> None:
    fetched: list[Path] = []
    (get(cache, "x", fetched) / "a" / "b").write_bytes(body("y"))
    get(cache, "x", fetched)
    assert len(fetched) == 2


def test_what_arrives_damaged_is_not_kept(cache: Cache) -> None:
    with pytest.raises(StoreError, match="damaged"):
        cache.entry("x", files_of("x"), writing(body("y")), {})
    assert list((cache.root / "artefacts").iterdir()) == []


def test_the_least_recently_used_goes_first(cache: Cache) -> None:
    first, second = get(cache, "x"), get(cache, "y")
    age(first)
    age(second)
    get(cache, "x")
    get(cache, "z")
    assert {place.name for place in (cache.root / "artefacts").iterdir()} == {"x", "z"}


def test_what_is_in_use_stays_also_when_it_is_too_much(cache: Cache) -> None:
    pins: Pins = {}
    for content in "xyz":
        age(cache.entry(content, files_of(content), writing(body(content)), pins))
    get(cache, "w")
    left = {place.name for place in (cache.root / "artefacts").iterdir()}
    assert left >= set("xyz")
    for pin in pins.values():
        os.close(pin)
    get(cache, "v")
    assert len(list((cache.root / "artefacts").iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("500M", 5 * 10**8), ("1.5 kb", 1500), ("20G", 2 * 10**10)]
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "5X", "1e9"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="GRAIL_CACHE_MAXSIZE"):
        bytes_of(text)


PROCESSES = """
# Imports once, and then forks: each child uses entries at random.
import os, random, sys
from tasks.artifacts.cache import Cache
from tests.unit.artifacts.test_cache import get

children = []
for seed in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        chance = random.Random(seed)
        for _ in range(100):
            get(Cache.of_user(), chance.choice("uvwxyz"))
        os._exit(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_several_processes_share_it(cache: Cache) -> None:
    subprocess.run([sys.executable, "-c", PROCESSES], cwd=PROJECT, check=True)
    assert len(list((cache.root / "artefacts").iterdir())) == 2
    assert not [left for left in (cache.root / ".staging").iterdir() if left.is_dir()]
