"""The login of a root's servers: made once, private, or as the environment says."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from flows.dev_stack.credentials import (
    CLIENT_LOGIN,
    FILE,
    PASSWORD,
    SERVER_LOGIN,
    USER,
    login_of,
    mlflow_login,
    write_shell_file,
)
from schemas.errors import ConfigError

TOLD = {"PREFECT_API_URL": "http://127.0.0.1:1/api", "GRAIL_MLFLOW": "http://127.0.0.1:2"}


def test_a_login_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = login_of(tmp_path / "root", {})
    assert first.startswith("admin:")
    assert len(first) > 30
    assert login_of(tmp_path / "root", {}) == first
    assert login_of(tmp_path / "other", {}) != first
    assert stat.S_IMODE((tmp_path / "root" / FILE).stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "root").iterdir()] == [FILE]  # nothing beside it


def test_what_others_could_read_is_a_login_no_more(tmp_path: Path) -> None:
    first = login_of(tmp_path, {})
    (tmp_path / FILE).chmod(0o640)
    second = login_of(tmp_path, {})
    assert second != first
    (tmp_path / "elsewhere").write_text(second)
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to("elsewhere")
    assert login_of(tmp_path, {}) not in (first, second)
    assert not (tmp_path / FILE).is_symlink()


def test_the_operators_own_login_is_honoured_and_not_kept(tmp_path: Path) -> None:
    given = {SERVER_LOGIN: "me:secret", CLIENT_LOGIN: "me:other"}
    assert login_of(tmp_path, given) == "me:secret"
    assert login_of(tmp_path, {CLIENT_LOGIN: "me:other"}) == "me:other"
    assert login_of(tmp_path, {SERVER_LOGIN: ""}) == ""
    assert not (tmp_path / FILE).exists()
    assert mlflow_login("me:a:b", {}) == {USER: "me", PASSWORD: "a:b"}
    theirs = {USER: "team", PASSWORD: "x"}
    assert mlflow_login("me:a", theirs) == theirs
    assert mlflow_login("", {}) == {}
    for wrong in ("secret", ":secret", "me:", "me:s\n", "me:sécret"):
        with pytest.raises(ConfigError, match="must be user:password") as caught:
            login_of(tmp_path, {SERVER_LOGIN: wrong})
        assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "login"),
    [({}, None), ({SERVER_LOGIN: "me:se cret"}, "me:se cret"), ({SERVER_LOGIN: ""}, "")],
)
def test_another_terminal_knows_the_login_from_a_file_without_it(
    tmp_path: Path, given: dict[str, str], login: str | None
) -> None:
    expected = login_of(tmp_path / "it's here", given) if login is None else login
    file = write_shell_file(tmp_path / "it's here", TOLD, given)
    if expected:
        assert expected not in file.read_text()
    shown = 'printf "%s|" "$PREFECT_API_URL" "$PREFECT_API_AUTH_STRING" "$MLFLOW_TRACKING_PASSWORD"'
    done = subprocess.run(
        ["sh", "-euc", f'. "$0"; {shown}', str(file)],
        env={"PATH": os.defpath, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    password = expected.partition(":")[2]
    assert done.stdout == f"http://127.0.0.1:1/api|{expected}|{password}|"
