"""Opens the one CUDA library that TensorFlow's wheel does not find beside itself.

TensorFlow 2.21 looks for CUDA's packages in the folder that it is installed in, but not for
cuSOLVER's, and where one of the libraries is missing it takes no GPU at all. What a process has
open already is found by its name.
"""

import contextlib
import ctypes
import importlib.util
from pathlib import Path


def open_cusolver() -> None:
    """Open the package's library if it is installed; what cannot be opened is left to TensorFlow.

    Without a GPU that costs a quarter of a second, and without the package nothing.
    """
    try:
        package = importlib.util.find_spec("nvidia.cusolver")
    except ModuleNotFoundError:  # there is no package of NVIDIA's at all
        return
    for folder in (package and package.submodule_search_locations) or ():
        for library in Path(folder, "lib").glob("libcusolver.so.*"):
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(library))
