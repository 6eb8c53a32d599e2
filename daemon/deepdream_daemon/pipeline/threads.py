"""Threads that never keep the process from ending: a pass that hangs must not delay a shutdown.

Those in the background stand back when the processor is wanted: what decodes and encodes pictures must not take a core
from the threads of the engine, each of which waits for all the others at every layer.
"""

from __future__ import annotations

import contextlib
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
        """Run ``fn`` in one of the threads, in the order of submission."""
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

        self._work.put(work)
        with self._lock:
            self._busy += 1
            if self._busy > len(self._threads) < self._count:
                name = f"{self._name}-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()
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

    def _run(self) -> None:
        if self._is_background and sys.platform == "linux":  # elsewhere it would be the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._busy -= 1
