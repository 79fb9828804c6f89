"""Arrays in a file: every shape and order comes back as it was, and nothing else is believed."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from schemas.errors import ModelError
from tasks.models.array_file import read_arrays, write_arrays

ARRAYS: dict[str, Any] = {
    "scalar": np.array(7),
    "row": np.arange(5, dtype=np.uint8),
    "plane": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "every_second": np.arange(9)[::2],
    "big_endian": np.arange(3, dtype=">i4"),
    "nothing": np.empty((0, 4)),
    "bits": np.array([True, False, True]),
    "unknown": np.array([np.nan, -0.0, np.inf]),
}
MATRIX = sparse.csr_matrix(np.array([[0, 1.5, 0], [0, 0, 0], [2, 0, 3]], dtype=np.float32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_as_it_was(file, name):
    array = ARRAYS[name]
    write_arrays(file, {name: array})
    found = read_arrays(file, [name])[name]
    assert (found.dtype, found.shape) == (array.dtype.newbyteorder("="), array.shape)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("matrix", [MATRIX, MATRIX[:0], MATRIX[1:2]])
def test_a_sparse_matrix_comes_back_with_its_stored_zeros(file, matrix):
    matrix = matrix.copy()
    matrix.data[:1] = 0  # of Friends, a stored 0 is a score
    write_arrays(file, {"scores": matrix})
    found = read_arrays(file, ["scores"])["scores"]
    assert (found.shape, found.dtype, found.nnz) == (matrix.shape, matrix.dtype, matrix.nnz)
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


def test_what_is_read_is_ones_own(file):
    write_arrays(file, {"row": np.arange(3)})
    found = read_arrays(file, ["row"])["row"]
    os.truncate(file, 0)
    found += 1
    assert found.tolist() == [1, 2, 3]


def test_equal_arrays_are_equal_bytes_in_whatever_order(file):
    write_arrays(file, {**ARRAYS, "matrix": MATRIX})
    first = file.read_bytes()
    write_arrays(file, {"matrix": MATRIX, **dict(reversed(ARRAYS.items()))})
    assert file.read_bytes() == first
    header = json.loads(first[8 : 8 + int.from_bytes(first[:8], "little")])
    assert "__metadata__" not in header  # its order is by chance


def test_the_file_may_be_read_by_whom_other_files_may_be(file):
    other = file.with_name("config.json")
    other.write_text("{}")
    write_arrays(file, ARRAYS)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_cut_file_is_refused(file, share):
    write_arrays(file, ARRAYS)
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(ModelError, match=r"model\.safetensors holds no arrays that can be read"):
        read_arrays(file, ARRAYS)


def of_type(dtype: str, size: int) -> bytes:
    """Return a whole file of two numbers of a type."""
    header = json.dumps({"row": {"dtype": dtype, "shape": [2], "data_offsets": [0, 2 * size]}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(2 * size)


FOREIGN = {
    "pickle": b"\x80\x05\x95" + bytes(100),
    "numpy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n",
    "zip": b"PK\x03\x04" + bytes(100),
    "text": b"user_id,video_id\n" * 10,
    "half a number that NumPy has not": of_type("BF16", 2),
    "an eighth of one": of_type("F8_E4M3", 1),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused(file, kind):
    file.write_bytes(FOREIGN[kind])
    with pytest.raises(ModelError, match="holds no arrays that can be read") as refused:
        read_arrays(file, ["row"])
    assert "\n" not in str(refused.value)


def test_a_lost_file_and_a_lost_array_are_named(file):
    with pytest.raises(ModelError, match=r"model\.safetensors is not there"):
        read_arrays(file, ["row"])
    write_arrays(file, {"matrix": MATRIX})
    with pytest.raises(ModelError, match=r"model\.safetensors holds no row"):
        read_arrays(file, ["matrix", "row"])


def test_an_index_that_points_outside_is_refused(file):
    parts = {"data": np.ones(1), "indices": np.array([9]), "indptr": np.array([0, 1])}
    shape = {"shape": np.array([1, 3])}
    write_arrays(file, {f"matrix.{part}": array for part, array in {**parts, **shape}.items()})
    with pytest.raises(ModelError, match="holds no whole matrix: "):
        read_arrays(file, ["matrix"])
