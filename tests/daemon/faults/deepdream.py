"""The real command line with a stub instead of the engine: all of ``deepdream run`` but torch.

``DEEPDREAM_STUB_SECONDS`` is how long each dream takes, ``DEEPDREAM_STUB_DELAY`` after how many seconds what failed is
tried again for the first time; ``DEEPDREAM_FILE_FAULTS`` makes system calls fail (see
:mod:`tests.daemon.faults.filesystem`).
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

from tests.daemon.faults import filesystem
from tests.daemon.stub import StubRenderer

SECONDS = "DEEPDREAM_STUB_SECONDS"
DELAY = "DEEPDREAM_STUB_DELAY"
_ENGINES = (("deepdream_daemon.worker.workshop", "Workshop"), ("deepdream_daemon.pipeline.darkroom", "Darkroom"))
"""Whatever ``deepdream run`` makes its dreams with, the worker process or none."""


class StubWorkshop(StubRenderer):
    """A :class:`StubRenderer` that is made, started and closed as the worker's proxy is."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(float(os.environ.get(SECONDS, "0")))
        self.pid = os.getpid()
        self.restarts = 0
        self.last_death: str | None = None

    @property
    def beat(self) -> float:
        """It lives as long as this process."""
        return time.monotonic()

    def start(self) -> None:
        """There is nothing to warm up."""

    def close(self) -> None:
        """There is nothing to end."""


def hurry(seconds: float) -> None:
    """Try again what failed after so many seconds, twice as many, at most 20 times as many."""
    from deepdream_daemon.pipeline import backoff, gates, pipeline, undecided

    for module in (backoff, gates, undecided):
        module.FIRST_SECONDS = seconds  # type: ignore[attr-defined]
        module.LONGEST_SECONDS = 20 * seconds  # type: ignore[attr-defined]
    backoff.PATIENCE = 10**6  # it is minutes otherwise, in which trouble passes
    pipeline.MEND_SECONDS = seconds


def main() -> None:
    """Run the command line."""
    if delay := os.environ.get(DELAY):
        hurry(float(delay))
    for module, name in _ENGINES:
        try:
            setattr(importlib.import_module(module), name, StubWorkshop)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise
    filesystem.install(os.environ.get(filesystem.VARIABLE, ""))
    from deepdream_daemon.commands import main as deepdream

    sys.argv[0] = "deepdream"
    deepdream()


if __name__ == "__main__":
    main()
