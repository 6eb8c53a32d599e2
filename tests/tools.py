"""What some tests need of the machine, and are skipped without: programs, and leave to use them.

``DEEPDREAM_TEST_TOOLS`` names those that a machine has, such as ``strace namespaces``. A test that misses one of them
fails there, so that nothing goes untested unnoticed.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

VARIABLE = "DEEPDREAM_TEST_TOOLS"
TOOLS = {
    "strace": "strace, and leave to trace a program of one's own (R5)",
    "namespaces": "unshare and nsenter of util-linux, and leave to make a user namespace and to mount in it (R11, R12)",
    "systemd": "systemd-analyze and /lib/systemd/systemd (the units)",
    "setpriv": "setpriv of util-linux, if root runs the tests (permissions)",
    "second-disk": "/dev/shm on another disk than the temporary folder (R4)",
    "inotify": "fs.inotify.max_queued_events of at most 200,000 (R2)",
    "node": "Node.js (the pages' scripts)",
    "landlock": "a kernel with Landlock (decoders)",
}


def lacking(tool: str, reason: str) -> NoReturn:
    """Skip the test because of ``reason``; fail it on a machine that is said to have the ``tool``."""
    assert tool in TOOLS
    if tool in said():
        pytest.fail(f"{VARIABLE} says that there is {TOOLS[tool]}, but {reason}")
    pytest.skip(f"{reason}; it needs {TOOLS[tool]}")


def said() -> frozenset[str]:
    """Return which tools the machine is said to have."""
    named = frozenset(os.environ.get(VARIABLE, "").split())
    if unknown := named - set(TOOLS):
        raise pytest.UsageError(f"{VARIABLE} names {', '.join(sorted(unknown))}; there are {', '.join(TOOLS)}.")
    return named
