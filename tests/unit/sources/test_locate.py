"""Raw files are found in every layout people have, and what is wrong with a folder is said."""

import hashlib
import os
from pathlib import Path

import pytest

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.sources import locate as room
from tasks.sources.locate import DEMO_MARKER, fingerprint, locate

REQUIRED = [raw.file_name for raw in RAW_FILES.values() if raw.is_required]
OPTIONAL = [raw.file_name for raw in RAW_FILES.values() if not raw.is_required]


def write_files(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{name}\n")
    return folder


@pytest.mark.parametrize(
    "layout",
    [
        ".",
        "data",
        "KuaiRec/data",
        "KuaiRec 2.0/data",
        "kuairec 2.0/DATA",
        "KuaiRec/KuaiRec 2.0/data",
        "data/kuairec-slice/KuaiRec 2.0/data",
        "archive/raw_data",
        "a/b/c/d/e/f/csv",
    ],
)
def test_every_layout_is_found(tmp_path: Path, layout: str) -> None:
    data = write_files(tmp_path / layout, REQUIRED + OPTIONAL)
    found = locate(tmp_path)
    assert found.files == {name: data / raw.file_name for name, raw in RAW_FILES.items()}
    assert found.missing == ()
    assert not found.is_demo


def test_absent_optional_files_are_listed_by_table(tmp_path: Path) -> None:
    write_files(tmp_path, REQUIRED)
    found = locate(tmp_path)
    assert found.missing == ("video_daily_stats", "friends", "captions")
    assert set(found.files) == {"interactions", "small_matrix", "users", "video_tags"}


@pytest.mark.parametrize("where", ["KuaiRec 2.0/data", "KuaiRec 2.0", "."])
def test_side_file_is_found_up_to_the_given_folder(tmp_path: Path, where: str) -> None:
    top = tmp_path / "download"
    write_files(top / "KuaiRec 2.0" / "data", REQUIRED)
    side = write_files(top / where, ["kuairec_caption_category.csv"])
    assert locate(top).files["captions"] == side / "kuairec_caption_category.csv"


def test_side_file_above_the_given_folder_is_not_taken(tmp_path: Path) -> None:
    data = write_files(tmp_path / "data", REQUIRED)
    write_files(tmp_path, ["kuairec_caption_category.csv"])
    assert "captions" in locate(data).missing


def test_nearest_side_file_wins(tmp_path: Path) -> None:
    data = write_files(tmp_path / "data", REQUIRED + OPTIONAL)
    write_files(tmp_path, OPTIONAL)
    assert {locate(tmp_path).files[name].parent for name in ("video_daily_stats", "captions")} == {
        data
    }


def test_demo_marker_beside_the_log_is_noticed(tmp_path: Path) -> None:
    data = write_files(tmp_path / "data", REQUIRED)
    write_files(tmp_path, [DEMO_MARKER])
    assert not locate(tmp_path).is_demo
    write_files(data, [DEMO_MARKER])
    assert locate(tmp_path).is_demo


@pytest.mark.parametrize("absent", REQUIRED)
def test_missing_required_file_is_named_with_place_and_cure(tmp_path: Path, absent: str) -> None:
    data = write_files(tmp_path / "data", [name for name in REQUIRED if name != absent])
    with pytest.raises(SourceError) as caught:
        locate(tmp_path)
    assert absent in str(caught.value)
    assert str(data) in str(caught.value)
    assert "unpack KuaiRec.zip again" in str(caught.value)


def test_no_data_names_all_places_that_were_searched(tmp_path: Path) -> None:
    write_files(tmp_path / "KuaiRec 2.0" / "data", OPTIONAL)
    with pytest.raises(SourceError) as caught:
        locate(tmp_path)
    for place in (tmp_path, tmp_path / "KuaiRec 2.0", tmp_path / "KuaiRec 2.0" / "data"):
        assert f"'{place}'" in str(caught.value)
    assert "big_matrix.csv" in str(caught.value)


def test_two_data_folders_are_ambiguous(tmp_path: Path) -> None:
    first = write_files(tmp_path / "KuaiRec 2.0" / "data", REQUIRED)
    second = write_files(tmp_path / "data", REQUIRED)
    with pytest.raises(SourceError, match="more than one") as caught:
        locate(tmp_path)
    assert f"'{first}'" in str(caught.value)
    assert f"'{second}'" in str(caught.value)


def test_a_likely_folder_is_taken_before_any_other(tmp_path: Path) -> None:
    data = write_files(tmp_path / "KuaiRec 2.0" / "data", REQUIRED)
    write_files(tmp_path / "backup" / "of may", REQUIRED)
    assert locate(tmp_path).files["small_matrix"].parent == data


@pytest.mark.parametrize("aside", [".cache", "__MACOSX", "backup/.old"])
def test_hidden_folders_are_not_searched(tmp_path: Path, aside: str) -> None:
    write_files(tmp_path / aside / "csv", REQUIRED)
    with pytest.raises(SourceError, match="No KuaiRec data"):
        locate(tmp_path)
    data = write_files(tmp_path / "archive" / "csv", REQUIRED)
    assert locate(tmp_path).files["small_matrix"].parent == data


def test_messages_speak_of_the_zip_and_not_of_where_it_was_unpacked(tmp_path: Path) -> None:
    write_files(tmp_path / "v1", REQUIRED)
    write_files(tmp_path / "v2", REQUIRED[:1])
    with pytest.raises(SourceError) as caught:
        locate(tmp_path, "my/KuaiRec.zip")
    said = "my/KuaiRec.zip holds more than one KuaiRec data folder: 'my/KuaiRec.zip/v1', "
    assert str(caught.value).startswith(said)
    assert str(tmp_path) not in str(caught.value)


def test_search_of_very_many_folders_ends(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "MOST_FOLDERS", 20)
    for n in range(30):
        (tmp_path / f"{n:02d}").mkdir()
    with pytest.raises(SourceError, match="more than 20 folders"):
        locate(tmp_path)


def test_a_zip_in_the_folder_is_pointed_out(tmp_path: Path) -> None:
    write_files(tmp_path, ["KuaiRec.zip"])
    with pytest.raises(SourceError, match=r"There is KuaiRec\.zip: give that file itself"):
        locate(tmp_path)


def test_link_to_the_same_folder_is_not_a_second_one(tmp_path: Path) -> None:
    data = write_files(tmp_path / "KuaiRec 2.0" / "data", REQUIRED)
    (tmp_path / "data").symlink_to(data)
    (data / "data").symlink_to(tmp_path)
    assert locate(tmp_path).files["small_matrix"].samefile(data / "small_matrix.csv")


def test_leftover_of_a_killed_unpacking_is_not_data(tmp_path: Path) -> None:
    write_files(tmp_path / ".KuaiRec.partial" / "data", REQUIRED)
    with pytest.raises(SourceError, match="No KuaiRec data"):
        locate(tmp_path)


def test_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        locate(tmp_path / "absent")
    write_files(tmp_path, ["KuaiRec.zip"])
    with pytest.raises(SourceError, match="is a file, not a folder"):
        locate(tmp_path / "KuaiRec.zip")


def test_fingerprint_follows_content_alone(tmp_path: Path) -> None:
    data = write_files(tmp_path / "data", REQUIRED)
    files = locate(tmp_path).files
    before = fingerprint(files)
    assert before["small_matrix"] == hashlib.sha256(b"small_matrix.csv\n").hexdigest()

    os.utime(data / "small_matrix.csv", (0, 0))
    assert fingerprint(files) == before

    (data / "small_matrix.csv").write_text("small_matrix.csv \n")
    after = fingerprint(files)
    assert {name for name in before if before[name] != after[name]} == {"small_matrix"}


def test_fingerprint_of_a_lost_file_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"big_matrix\.csv"):
        fingerprint({"interactions": tmp_path / "big_matrix.csv"})
