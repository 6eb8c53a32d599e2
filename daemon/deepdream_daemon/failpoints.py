"""Named places at which a test may kill the daemon as a power cut would; without the variable they do
nothing.

``DEEPDREAM_FAILPOINT=publish.linked:3`` ends the process with SIGKILL when ``publish.linked`` is passed
for the third time. The variable is read once, at import.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading

POINTS = (
    "intake.hashed",
    "intake.recorded",
    "claim.committed",
    "develop.read",
    "develop.prepared",
    "dream.begun",
    "dream.finished",
    "finish.checked",
    "finish.encoded",
    "publish.temp_created",
    "publish.temp_written",
    "publish.temp_synced",
    "publish.announced",
    "publish.linked",
    "publish.directory_synced",
    "publish.done",
    "publish.temp_removed",
    "quarantine.written",
    "recovery.begun",
    "recovery.requeued",
)
DELIVERY_POINTS = ("delivery.begun", "delivery.returned", "delivery.recorded")
"""Passed only where dreams go to sinks."""
VARIABLE = "DEEPDREAM_FAILPOINT"

_ARMED, _, _nth = os.environ.get(VARIABLE, "").partition(":")
_NTH = int(_nth or 1)
_passes = itertools.count(1)
_lock = threading.Lock()


def hit(name: str) -> None:
    """Pass the point ``name``: nothing happens, unless it is the armed one and its turn has come."""
    if name != _ARMED:
        return
    with _lock:
        if next(_passes) == _NTH:
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # the signal may arrive a moment later; nothing may happen in between
