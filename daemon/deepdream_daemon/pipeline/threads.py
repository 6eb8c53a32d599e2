"""Threads that never keep the process from ending: a pass that hangs must not delay a shutdown.

Those in the background stand back when the processor is wanted: what decodes and encodes pictures must not take a core
from the threads of the engine, each of which waits for all the others at every layer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

BACKGROUND_NICENESS = 10


def pool_size() -> int:
    """Return how many threads decode, and as many finish, pictures beside the engine."""
    return max(2, min(8, (os.cpu_count() or 2) // 2))


class DaemonThreads(Executor):
    """An executor of up to ``count`` daemon threads, started when they are needed. The standard library's are joined
    when the interpreter ends.
    """

    def __init__(self, count: int, name: str, *, is_background: bool = False) -> None:
        self._is_background = is_background
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_shut = False
        self._count = count
        self._name = name
        self._lock = threading.Lock()
        self._busy = 0
        """Work that is being done or waits."""
        self._threads: list[threading.Thread] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in one of the threads, in the order of submission; raises ``OSError`` if there is none, and none
        can be started."""
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  (the future raises it where it is asked for)
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._busy >= len(self._threads) < self._count:
                self._add_thread()
            self._busy += 1
        self._work.put(work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; ``cancel_futures`` drops what has not begun."""
        self._is_shut = True
        while cancel_futures and not self._work.empty():
            try:
                self._work.get_nowait()
            except queue.Empty:
                break
            with self._lock:
                self._busy -= 1
        for _ in self._threads:
            self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more
            if not self._threads:
                raise OSError(errno.EAGAIN, "no thread could be started") from error
            return  # those that there are do the work in turn
        self._threads.append(thread)

    def _run(self) -> None:
        if self._is_background and sys.platform == "linux":  # elsewhere it would be the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._busy -= 1
