"""A time limit for a stranger's code. It runs in a thread of its own, which is left behind when the time is up.

Python cannot end a thread; the one that is left behind ends with the program at the latest. Nobody hears of what it
still does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from deepdream_plugins.printing import speaking

Result = TypeVar("Result")


class TimeIsUp(Exception):
    """The code did not end in time, and goes on by itself."""


class _Run(threading.Thread, Generic[Result]):
    def __init__(self, function: Callable[[], Result], name: str) -> None:
        super().__init__(name=f"plugin {name}", daemon=True)
        self._function = function
        self._context = copy_context()
        self.result: list[Result] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result.append(self._context.run(self._function))
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits for it)
            self.error = error


def run_stranger(plugin: str, function: Callable[[], Result], seconds: float | None = None) -> Result:
    """Return what ``function``, the code of ``plugin``, returns, or raise what it raises, or :class:`TimeIsUp` if it
    takes longer than ``seconds``. What it prints goes to the log."""

    def run() -> Result:
        with speaking(plugin):  # in the thread that it runs in
            return function()

    return run() if seconds is None else _within(seconds, run, plugin)


def _within(seconds: float, function: Callable[[], Result], name: str) -> Result:
    run = _Run(function, name)
    run.start()
    run.join(seconds)
    if run.is_alive():
        raise TimeIsUp
    if run.error is not None:
        raise run.error
    return run.result[0]
