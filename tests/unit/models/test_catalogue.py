"""The catalogue: ids by index, and who saw what."""

import os

import numpy as np
import polars as pl
import pytest

from schemas.errors import ModelError
from tasks.artifacts.parted_table import PartedTable
from tasks.models.array_file import write_arrays
from tasks.models.catalogue import FILE, Catalogue
from tasks.models.model_files import write_checksums

# user 10 saw video 7, user 20 nothing, user 30 all of them
USER_INDEX = pl.DataFrame({"user_idx": [0, 1, 2], "user_id": [10, 20, 30]})
VIDEO_INDEX = pl.DataFrame({"video_idx": [0, 1], "video_id": [5, 7]})
PAIRS = PartedTable.of(pl.DataFrame({"user_idx": [0, 2, 2], "video_idx": [1, 0, 1]}))


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.of(USER_INDEX, VIDEO_INDEX, PAIRS)


def test_unseen_are_the_videos_without_a_pair(catalogue):
    unseen = catalogue.unseen(np.array([2, 0, 1, 0]))
    assert unseen.dtype == np.bool_
    assert unseen.tolist() == [[False, False], [True, False], [True, True], [True, False]]


@pytest.mark.parametrize("n_videos", [7, 8, 9])
def test_unseen_is_exact_at_the_edge_of_a_byte(n_videos):
    videos = pl.DataFrame({"video_idx": range(n_videos), "video_id": range(n_videos)})
    last = pl.DataFrame({"user_idx": [0], "video_idx": [n_videos - 1]})
    unseen = Catalogue.of(USER_INDEX, videos, PartedTable.of(last)).unseen(np.array([0]))
    assert unseen.tolist() == [[True] * (n_videos - 1) + [False]]


def test_an_id_has_its_index(catalogue):
    assert catalogue.user_idx(np.array([30, 10, 10])).tolist() == [2, 0, 0]
    assert catalogue.user_idx(np.array([], dtype=np.int64)).tolist() == []


def test_unknown_users_are_named(catalogue):
    with pytest.raises(ModelError, match="3 unknown users: 9, 11, 31"):
        catalogue.user_idx(np.array([9, 10, 11, 31]))


def test_only_the_first_of_many_unknown_users_are_named(catalogue):
    with pytest.raises(ModelError, match=r"40 unknown users: 40, 41, 42, 43, 44\. "):
        catalogue.user_idx(np.arange(40, 80))


def test_a_catalogue_without_users_knows_nobody(catalogue):
    nobody = Catalogue.of(USER_INDEX.clear(), VIDEO_INDEX, PartedTable.of())
    with pytest.raises(ModelError, match="1 unknown users: 10"):
        nobody.user_idx(np.array([10]))


def test_loaded_is_what_was_saved(catalogue, tmp_path):
    catalogue.save(tmp_path)
    loaded = Catalogue.load(tmp_path)
    for name, array in vars(catalogue).items():
        found = getattr(loaded, name)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_saved_twice_is_the_same_bytes(catalogue, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        catalogue.save(folder)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()


def test_no_file_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="no whole catalogue in"):
        Catalogue.load(tmp_path)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_cut_file_is_a_model_error(catalogue, tmp_path, share):
    catalogue.save(tmp_path)
    os.truncate(tmp_path / FILE, int((tmp_path / FILE).stat().st_size * share))
    with pytest.raises(ModelError, match="no whole catalogue in"):
        Catalogue.load(tmp_path)


def test_a_file_with_a_changed_byte_is_a_model_error(catalogue, tmp_path):
    catalogue.save(tmp_path)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[-1] ^= 0xFF  # behind the header
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match="no whole catalogue in"):
        Catalogue.load(tmp_path)


def test_a_file_without_an_array_is_a_model_error(tmp_path):
    write_arrays(tmp_path / FILE, {"user_ids": np.arange(3)})
    write_checksums(tmp_path)
    with pytest.raises(ModelError, match="video_ids"):
        Catalogue.load(tmp_path)
