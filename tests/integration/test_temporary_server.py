"""A command's own server: what it leaves to one that stays."""

import os
from pathlib import Path

import httpx
import pytest

from flows.commands import temporary_server
from flows.commands.temporary_server import TemporaryServer
from schemas.paths import sqlite_address


def block_types(home: Path) -> int:
    """Start a server with this home, ask how many types of blocks it knows, and end it."""
    database = sqlite_address(home / "prefect.db", "aiosqlite")
    told = {"PREFECT_HOME": str(home), "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    server = TemporaryServer({**os.environ, **told}, home.with_suffix(".log"))
    try:
        server.wait(120)
        asked = httpx.post(f"{server.address}/api/block_types/filter", json={}, trust_env=False)
        return len(asked.raise_for_status().json())
    finally:
        server.stop()


def test_a_server_that_stays_registers_the_blocks_that_a_temporary_one_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    assert block_types(home) == 0
    for told in ("EPHEMERAL", "NEEDLESS"):
        monkeypatch.setattr(temporary_server, told, {"PREFECT_UI_ENABLED": "0"})
    assert block_types(home) > 0
