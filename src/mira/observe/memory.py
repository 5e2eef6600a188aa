"""Has the process give large memory back to the system once it is done with it."""

import ctypes
from contextlib import suppress

#: `mallopt` of glibc, malloc.h
_M_MMAP_THRESHOLD = -3
#: bytes; bodies of requests, and pages that are inflated, are larger
LARGE_BYTES = 256 * 1024


def give_back_large() -> None:
    """Large pieces of memory are mapped one by one from now on, and unmapped as soon as they are free.

    Left to itself, glibc raises the size from which it does so with each large piece that is freed, up to 32 MB: what a
    few hostile pages took would stay in the process, between smaller pieces that are still needed. Does nothing where
    the C library has no `mallopt`.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
