"""The command that writes the demo world: whole or not at all, and nothing over another's files."""

from pathlib import Path

import pytest

from flows.__main__ import main
from schemas.raw_files import RAW_FILES
from tasks.sources.locate import locate


def test_the_world_is_written_whole_and_marked(capsys, tmp_path: Path) -> None:
    out = tmp_path / "new" / "world"
    main(["demo-data", "--scale", "0.02", "--seed", "5", "--out", str(out)])
    found = locate(out)
    assert found.is_demo
    assert set(found.files) == set(RAW_FILES)
    assert (out / "truth.npz").is_file()
    assert [p.name for p in out.parent.iterdir()] == ["world"]
    assert "not real data" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--scale", "0"], ["--scale", "9"], ["--seed", "-1"], []])
def test_a_wrong_setting_writes_nothing(capsys, tmp_path: Path, arguments) -> None:
    out = ["--out", str(tmp_path / "world")] if arguments else []
    with pytest.raises(SystemExit) as stopped:
        main(["demo-data", *arguments, *out])
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_what_lies_in_the_folder_is_not_overwritten(capsys, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(SystemExit):
        main(["demo-data", "--scale", "0.02", "--out", str(tmp_path)])
    assert "not an empty folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
