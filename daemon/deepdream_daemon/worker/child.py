"""One worker process, seen from the daemon: its lanes, its signs of life, and how it ended.

A call takes a lane of its own, so that each is a plain question and its answer; lanes are opened as they are needed.
When the process is gone, every call that it was at work on raises :class:`WorkerDied`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import structlog

from deepdream_daemon.failpoints import FAULT_VARIABLE, VARIABLE, hit
from deepdream_daemon.worker.died import WorkerDied
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_engine.errors import Cancelled

log = structlog.get_logger("deepdream")

Kind = Literal["beside", "dream"]
"""Of a lane: what is done beside the dreams stands back for them."""

END_SECONDS = 1.0
_WORDS_KEPT = 20
_NOT_FOR_IT = (VARIABLE, FAULT_VARIABLE, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Child:
    """Starts when it is made; :meth:`greet` says when it is ready."""

    def __init__(self, generation: int, order: Mapping[str, Any]) -> None:
        self.generation = generation
        self.facts: Mapping[str, Any] = {}
        """What it said of itself when it was ready."""
        self.beat = time.monotonic()
        self.has_answered = False
        """Whether it was of any use so far."""
        self.is_closed = False
        """Whether it was ended because nobody needs it any more."""
        self._lock = threading.Lock()
        self._idle: dict[Kind, list[Lane]] = {"beside": [], "dream": []}
        self._open: set[Lane] = set()
        self._inside = 0
        self._suspects: int | None = None
        self._killed_for = ""
        self._reason = ""
        self._words: deque[str] = deque(maxlen=_WORDS_KEPT)
        self._taken_by_kernel = _taken_by_kernel()
        self.control, theirs = Lane.pair()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "deepdream_daemon.worker.process", str(number), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # it sends what is printed there to the other
                stderr=subprocess.PIPE,
                env=_environment(),
                pass_fds=[number],
                start_new_session=True,  # Ctrl-C is for the daemon
            )
        self._listener = threading.Thread(target=self._listen, name="worker's words", daemon=True)
        self._listener.start()
        hit("worker.spawned")
        self.tell(order)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def suspects(self) -> int:
        """How many pictures it was at work on when it ended."""
        return self._suspects or 0

    @property
    def is_over(self) -> bool:
        """Whether it is known to have ended."""
        return self._suspects is not None

    def tell(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send it a message that needs no answer; one that is gone hears nothing."""
        with contextlib.suppress(LaneClosed):  # whoever listens for its signs of life is told
            self.control.send(message, descriptors)

    @contextmanager
    def lane(self, kind: Kind) -> Iterator[Lane]:
        """Give a lane to the caller alone; one that is left by an error is closed."""
        with self._lock:
            lane = self._idle[kind].pop() if self._idle[kind] else None
        if lane is None:
            lane, theirs = Lane.pair()
            with theirs:
                self.tell({"open": kind}, [theirs.fileno()])
            with self._lock:
                self._open.add(lane)
        try:
            yield lane
        except BaseException:
            with self._lock:
                self._open.discard(lane)
            lane.close()
            raise
        with self._lock:
            if not self.is_over:
                self._idle[kind].append(lane)
                return
            self._open.discard(lane)
        lane.close()

    def enter(self) -> None:
        """It is at work on one more picture."""
        with self._lock:
            self._inside += 1

    def leave(self, count: int = 1) -> None:
        """It is done with so many, or has ended."""
        with self._lock:
            self._inside -= count

    def kill(self, reason: str) -> None:
        """End it at once; ``reason`` is what is told."""
        with self._lock:
            self._killed_for = self._killed_for or reason
        self._show_where_it_is()
        self._process.kill()

    def died(self) -> WorkerDied | Cancelled:
        """Return the error of a call that it does not answer any more, when it has ended."""
        reason = self.how_it_ended()
        if self.is_closed:
            return Cancelled("the worker process is not needed any more")
        return WorkerDied(reason, self.generation, self._suspects or 0)

    def how_it_ended(self) -> str:
        """Return how it ended, when it has."""
        with self._lock:
            if self._suspects is None:
                self._suspects = self._inside
            if not self._reason:
                self._reason = self._reap()
            return self._reason

    def last_words(self) -> list[str]:
        """Return what it wrote to its standard error at last."""
        return list(self._words)

    def close(self) -> None:
        """End it: it leaves when the control lane closes, and is made to if it does not."""
        with self._lock:
            self.is_closed = True
            self._killed_for = self._killed_for or "was closed"
            lanes = [self.control, *self._open]
        for lane in lanes:
            lane.shut()
        self.how_it_ended()

    def bury(self) -> None:
        """Put away what is left of it, when nobody listens to it any more."""
        self.how_it_ended()
        with self._lock:
            idle = [lane for lanes in self._idle.values() for lane in lanes]
            self._idle = {"beside": [], "dream": []}
            self._open.difference_update(idle)
        for lane in (self.control, *idle):
            lane.close()

    def _reap(self) -> str:
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # it hangs, or has closed a lane in error
            self._killed_for = self._killed_for or "did not answer any more"
            self._process.kill()
            code = self._process.wait()
        self._listener.join(END_SECONDS)  # not for ever: a process that it has started may hold the pipe
        if self._killed_for:
            return self._killed_for
        if code >= 0:
            return f"ended by itself with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        taken = code == -signal.SIGKILL and _taken_by_kernel() > self._taken_by_kernel
        return f"was killed by {name}{' because the memory ran out' if taken else ''}"

    def _show_where_it_is(self) -> None:
        """Have a worker that hangs write down where, for the log, if it still can."""
        if not self.facts or sys.platform == "win32":
            return
        try:
            self._process.send_signal(signal.SIGUSR1)
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            pass

    def _listen(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None  # asked for above
        with pipe:
            for line in pipe:
                text = line.decode("utf-8", "backslashreplace").rstrip()
                if text:
                    self._words.append(text)
                    log.info("the worker says", text=text, worker=self._process.pid)


def _environment() -> dict[str, str]:
    """Return the environment in which it imports what this process does, and nothing from where it happens to be."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    paths = [part or str(Path.cwd()) for part in sys.path]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def _taken_by_kernel() -> int:
    """Return how many processes the kernel has killed so far because the memory ran out; on Linux alone."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
