"""Pixels that several processes see without a copy: an array in memory that has a descriptor.

The memory has no name (a memfd on Linux, elsewhere a file that is unlinked at once), so nothing is left behind whoever
is killed: it is gone with the last descriptor and mapping. On Linux its size is sealed: a process that was handed the
descriptor cannot shrink it under those who read, which would kill them.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITEM_BYTES: Mapping[str, int] = {"uint8": 1, "float16": 2, "uint16": 2, "float32": 4, "float64": 8, "int64": 8}
"""The types of numbers that an array may have."""
_ZEROS = bytes(1 << 20)


class SharedArray:
    """An array whose memory other processes may attach; made by :func:`allocate` or :func:`attach`.

    The descriptor is closed by :meth:`close`, or with this object. The memory itself stays as long as ``array`` or a
    view of it does. NumPy is imported when ``array`` is asked for: who only passes descriptors on needs none.
    """

    def __init__(self, number: int, shape: Sequence[int], dtype: str) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.nbytes = math.prod(self.shape) * ITEM_BYTES[dtype]
        self._number = number
        self._close = weakref.finalize(self, os.close, number)

    @cached_property
    def array(self) -> NDArray[Any]:
        """The memory as an array of ``shape``, which may be written to."""
        import numpy as np

        memory = mmap.mmap(self.fileno(), max(1, self.nbytes))  # the array keeps it, and frees it when it goes
        return np.frombuffer(memory, self.dtype, math.prod(self.shape)).reshape(self.shape)

    def fileno(self) -> int:
        """Return the descriptor, to be sent to another process; raises ``ValueError`` once it is closed."""
        if not self._close.alive:
            raise ValueError("the shared array is closed")
        return self._number

    def close(self) -> None:
        """Close the descriptor; may be called again."""
        self._close()


def allocate(shape: Sequence[int], dtype: str = "float32") -> SharedArray:
    """Return a new array of zeros. Raises ``MemoryError`` or ``OSError`` if there is no room for it."""
    shared = _own(_nameless(), shape, dtype)
    _reserve(shared.fileno(), max(1, shared.nbytes))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not a memfd
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(shared.fileno(), fcntl.F_ADD_SEALS, seals)
    return shared


def attach(number: int, shape: Sequence[int], dtype: str = "float32") -> SharedArray:
    """Return the array behind the descriptor ``number``, which it takes over; raises ``ValueError`` if the memory is
    smaller than ``shape`` and ``dtype`` say, since reading past its end would kill this process.
    """
    shared = _own(number, shape, dtype)
    size = os.fstat(number).st_size
    if size < shared.nbytes:
        shared.close()
        raise ValueError(f"the shared memory has {size} bytes, but {dtype} of shape {shared.shape} has {shared.nbytes}")
    return shared


def _own(number: int, shape: Sequence[int], dtype: str) -> SharedArray:
    if min(shape, default=1) < 0 or dtype not in ITEM_BYTES:
        os.close(number)
        raise ValueError(f"no array is {dtype} of shape {tuple(shape)}. Valid types: {', '.join(ITEM_BYTES)}.")
    return SharedArray(number, shape, dtype)


def _nameless() -> int:
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # a C library or a kernel without it
            return os.memfd_create("deepdream-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    number, path = tempfile.mkstemp(prefix=".deepdream-pixels-")
    os.unlink(path)  # noqa: PTH108  (mkstemp returns texts)
    return number


def _reserve(number: int, size_bytes: int) -> None:
    """Take the memory at once: where it is found missing only when a page is touched, the process is killed."""
    if sys.platform == "linux":
        os.posix_fallocate(number, 0, size_bytes)
        return
    for start in range(0, size_bytes, len(_ZEROS)):
        os.write(number, _ZEROS[: size_bytes - start])
