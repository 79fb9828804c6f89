"""What was found about the code is remembered, as long as the code is what it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.artifacts import code_fingerprint
from tasks.artifacts.code_fingerprint import CodeVersion, code_version_of
from tasks.artifacts.remembered_code import FILE, MOST_BYTES, RememberedCode
from tasks.artifacts.remembered_lines import RememberedLines
from tasks.artifacts.user_folder import FOLDER
from tasks.features.user_item import pairs_of
from tests.code_fingerprints import forget


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    yield tmp_path / "cache"
    forget()


def found_anew() -> CodeVersion:
    """Ask as a process would that has just started."""
    forget()
    return code_version_of(pairs_of)


def refuse_to_look(*_: object) -> None:
    raise AssertionError("names are followed")


def test_a_second_process_follows_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    version = found_anew()
    monkeypatch.setattr(code_fingerprint, "_found", refuse_to_look)
    assert found_anew() == version


def test_a_byte_of_the_code_is_enough_to_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    version = found_anew()
    monkeypatch.setattr(code_fingerprint, "code_hash", lambda *_: "other code")
    with monkeypatch.context() as watched:
        watched.setattr(code_fingerprint, "_found", refuse_to_look)
        with pytest.raises(AssertionError, match="are followed"):
            found_anew()
    assert found_anew() == version


@pytest.mark.parametrize("content", [b"", b"\xff\n", b"0123456789abcdef []\n", b"{}\n" * 9])
def test_a_damaged_memory_says_nothing(cache: Path, content: bytes) -> None:
    version = found_anew()
    (cache / FILE).write_bytes(content)
    assert found_anew() == version


def test_a_line_that_was_changed_says_nothing(cache: Path) -> None:
    version = found_anew()
    text = (cache / FILE).read_text()
    assert version.code in text
    (cache / FILE).write_text(text.replace(version.code, "f" * len(version.code)))
    assert found_anew() == version


def test_what_another_version_has_written_is_passed_over(cache: Path) -> None:
    version = found_anew()
    RememberedLines(cache / FILE, MOST_BYTES).add(["another state", {"in another": "form"}])
    assert found_anew() == version


def test_what_others_may_write_is_not_believed(cache: Path) -> None:
    version = found_anew()
    lies = RememberedCode(code_fingerprint.code_hash(*code_fingerprint.ROOMS))
    lies.keep(((pairs_of.__module__, pairs_of.__name__),), "a lie", [])
    assert found_anew().code == "a lie"
    cache.chmod(0o777)
    assert found_anew() == version


def test_without_a_place_for_it_nothing_is_remembered(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = found_anew()
    (cache.parent / "file").touch()
    monkeypatch.setenv(FOLDER, str(cache.parent / "file" / "cache"))
    assert found_anew() == version


def test_old_states_of_the_code_are_forgotten(cache: Path) -> None:
    for state in range(500):
        RememberedCode(str(state)).keep((("tasks.made", "made"),), "code" * 100, [])
    assert (cache / FILE).stat().st_size > MOST_BYTES
    assert RememberedCode("0").get((("tasks.made", "made"),)) is None
    assert (cache / FILE).stat().st_size <= MOST_BYTES
    assert RememberedCode("499").get((("tasks.made", "made"),)) == ("code" * 100, [])
