"""Memory that nobody in this process uses any more, given back to the machine."""

import ctypes
import gc


def give_back() -> None:
    """Drop what only holds itself, and hand the allocator's free pages back.

    TensorFlow's functions and their arrays lie in cycles, which are collected seldom; and glibc
    keeps what threads have freed, in arenas of their own. Other C libraries decide for themselves.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
