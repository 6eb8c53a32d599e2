"""Two files change places in one step: at no moment is either name without a file."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

from deepdream_daemon.publishing.publish import Staged, discard, entered, stage

_RENAME_EXCHANGE = 2  # Linux
_RENAME_SWAP = 2  # macOS


def exchange(one: str, other: str, at: int) -> None:
    """Give each of two files in the directory ``at`` the other's name; ``OSError`` where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (at, os.fsencode(one), at, os.fsencode(other))
    if sys.platform == "linux":
        done = libc.renameat2(*names, _RENAME_EXCHANGE)
    elif sys.platform == "darwin":
        done = libc.renameatx_np(*names, _RENAME_SWAP)
    else:
        raise OSError(errno.EOPNOTSUPP, "this system cannot exchange two files", one)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


def can_exchange(staged: Staged, root: Path, token: str) -> bool:
    """Tell whether files can be exchanged where ``staged`` lies, by doing it, forth and back."""
    directory = staged.temp.parent
    other = stage(directory, b"", token, root=root)
    try:
        with entered(root, directory) as at:
            for _ in range(2):
                exchange(staged.temp.name, other.temp.name, at)
    except OSError:
        return False
    finally:
        discard(other)
    return True
