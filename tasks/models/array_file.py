"""Arrays in one safetensors file: a JSON header and raw numbers, so that reading one runs nothing.

Equal arrays are equal bytes: the library orders them by width and name. It writes metadata in
chance order, so there is none.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from scipy import sparse

from schemas.errors import ModelError

Array: TypeAlias = NDArray[Any] | sparse.csr_matrix
CSR_PARTS = ("data", "indices", "indptr", "shape")
"""A CSR matrix called ``name`` is the arrays ``name.data``, and so on."""


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write dense arrays of any shape, and CSR matrices, by name."""
    plain: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if sparse.issparse(array):
            plain |= {f"{name}.{part}": np.asarray(getattr(array, part)) for part in CSR_PARTS}
        else:
            plain[name] = array
    # The library copies the memory as it lies: of a transposed array that is the wrong order
    in_order = {name: np.asarray(array, order="C") for name, array in plain.items()}
    path.write_bytes(save(in_order))  # its own save_file would hide the file from all but its owner


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, Array]:
    """Read arrays by name; the file is mapped, and each array copied out of it once.

    Raises:
        ModelError: the file is lost, cut or of another kind, or it lacks one of ``names``.
    """
    try:
        plain = load_file(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path.name} is not there") from error
    except (SafetensorError, TypeError, AttributeError) as error:  # two are of types NumPy has not
        raise ModelError(f"{path.name} holds no arrays that can be read: {error}") from error
    # With TensorFlow imported, NumPy knows types that no array of ours has
    if foreign := [name for name, array in plain.items() if array.dtype.kind not in "biuf"]:
        raise ModelError(f"{path.name} holds no arrays that can be read: {', '.join(foreign)}")
    return {name: _array(plain, name, path.name) for name in names}


def _array(plain: Mapping[str, NDArray[Any]], name: str, file: str) -> Array:
    if name in plain:
        return plain[name]
    parts = [plain.get(f"{name}.{part}") for part in CSR_PARTS]
    if any(part is None for part in parts):
        raise ModelError(f"{file} holds no {name}")
    *values, shape = parts
    try:
        matrix = sparse.csr_matrix(tuple(values), shape=tuple(shape))  # type: ignore[arg-type]
        matrix.check_format(full_check=True)  # SciPy follows an index wherever it points
    except (ValueError, TypeError, IndexError) as error:
        raise ModelError(f"{file} holds no whole {name}: {error}") from error
    return matrix
