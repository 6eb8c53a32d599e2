"""Promises about how quickly something is done, kept also by tests on a machine that does other things as well.

What else a machine does can only add to a time, and never takes from it: the best of a few rounds is nearest to what
the daemon can do, and it is held to the very number that is promised.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROUNDS = 5


def best_within(seconds: float, measure: Callable[[int], float], rounds: int = ROUNDS) -> list[float]:
    """Have ``measure`` do it once more, told the number of the round, and return how long it took, until that is less
    than ``seconds``; fail if it never is. Return what was measured: all but the last were too slow."""
    took: list[float] = []
    for number in range(rounds):
        took.append(measure(number))
        if took[-1] < seconds:
            return took
    pytest.fail(f"not within {seconds} s: it took {', '.join(f'{each:.3f}' for each in took)} s")


def seconds_of_process(process: subprocess.Popen[Any], begun: float) -> float:
    """Wait for the end of a process that was started at ``begun`` by the monotonic clock; return how long it took, less
    the time in which it could have gone on and others had the processor. Only Linux tells that; what it sleeps, or
    waits for a disk or a lock, counts everywhere."""
    if sys.platform != "linux":
        process.wait()
        return time.monotonic() - begun
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    took = time.monotonic() - begun
    with contextlib.suppress(OSError):  # a kernel without these numbers
        took -= int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
    process.wait()
    return took
