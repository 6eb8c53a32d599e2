"""A stranger's code: what it prints goes to the log, that it runs is known, and it may have a time limit.

With a limit it runs in a thread of its own, which is left behind when the time is up. Python cannot end a thread; the
one that is left behind ends with the program at the latest. Nobody hears of what it still does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from deepdream_plugins.hosting import under_way
from deepdream_plugins.hosting.printing import begin_speaking, end_speaking

Result = TypeVar("Result")


class TimeIsUp(Exception):
    """The code did not end in time, and goes on by itself."""


def is_users(error: BaseException) -> bool:
    """Whether ``error`` is the user's Ctrl-C, which Python raises in the main thread alone, and no plugin's doing."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


class _Run(threading.Thread, Generic[Result]):
    def __init__(self, function: Callable[[], Result], name: str) -> None:
        super().__init__(name=f"plugin {name}", daemon=True)
        self._function = function
        self._context = copy_context()
        self._begun = time.monotonic()
        self.result: list[Result] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result.append(self._context.run(self._function))
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits for it)
            self.error = error

    def wait(self, seconds: float) -> Result:
        """Return what came of it, or raise what it raised, or :class:`TimeIsUp` if it takes longer than ``seconds``
        from its start."""
        self.join(max(0.0, self._begun + seconds - time.monotonic()))
        if self.is_alive():
            raise TimeIsUp
        if isinstance(self.error, KeyboardInterrupt):  # raised again as it is, it would pass for the user's
            raise RuntimeError("it raised KeyboardInterrupt") from self.error  # noqa: TRY004
        if self.error is not None:
            raise self.error
        return self.result[0]


def begin_stranger(plugin: str, function: Callable[[], Result], what: str) -> Callable[[float], Result]:
    """Start ``function``, the code of ``plugin``, in a thread of its own; return what waits so many seconds from now
    for what it returns, as :func:`run_stranger` does."""
    run = _Run(lambda: _noted(plugin, function, what), plugin)
    run.start()
    return run.wait


def run_stranger(
    plugin: str, function: Callable[[], Result], seconds: float | None = None, what: str = "its code"
) -> Result:
    """Return what ``function``, the code of ``plugin``, returns, or raise what it raises, or :class:`TimeIsUp` if it
    takes longer than ``seconds``. ``what`` is what :func:`~deepdream_plugins.hosting.under_way.under_way` calls it."""
    if seconds is None:
        return _noted(plugin, function, what)
    return begin_stranger(plugin, function, what)(seconds)


def _noted(plugin: str, function: Callable[[], Result], what: str) -> Result:
    before = under_way.begin(plugin, what)
    token = begin_speaking(plugin)
    try:
        return function()
    finally:
        end_speaking(plugin, token)
        under_way.end(before)
