"""The worker's process: it is started, listened to, and ended; whoever asks how it ended waits for that a few seconds
at most, as a process that hangs in a driver cannot be ended at all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import structlog

from deepdream_daemon.failpoints import FAULT_VARIABLE, VARIABLE

log = structlog.get_logger("deepdream")

END_SECONDS = 1.0
_SHOW_SECONDS = 0.2
_WORDS_KEPT = 20
_NOT_FOR_IT = (VARIABLE, FAULT_VARIABLE, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Spawned:
    """Runs from the moment it is made; ``control`` is the descriptor of the socket through which it is spoken to."""

    def __init__(self, control: int) -> None:
        self._killed_for = ""
        self._how = ""
        self._ending = threading.Lock()
        self._words: deque[str] = deque(maxlen=_WORDS_KEPT)
        self._taken_by_kernel = _taken_by_kernel()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "deepdream_daemon.worker.process", str(control), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # it sends what is printed there to the other
            stderr=subprocess.PIPE,
            env=_environment(),
            pass_fds=[control],
            start_new_session=True,  # Ctrl-C is for the daemon
        )
        assert self._process.stderr is not None  # asked for above
        self._pipe = self._process.stderr
        self._listener = threading.Thread(target=self._listen, name="worker's words", daemon=True)
        try:
            self._listener.start()
        except RuntimeError:  # no thread is to be had, so nobody would hear it
            self._process.kill()
            self._wait()
            self._pipe.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self, reason: str, *, show: bool) -> None:
        """End it at once; ``reason`` is what is told. ``show`` has one that hangs write down where, for the log."""
        self._killed_for = self._killed_for or reason
        if show:
            self._process.send_signal(signal.SIGUSR1)
            self._wait(_SHOW_SECONDS)
        self._process.kill()

    def how_it_ended(self) -> str:
        """Return how it ended; if it does not by itself, it is made to."""
        with self._ending:  # whoever else asks waits for the same answer
            if not self._how:
                self._how = self._end()
            return self._how

    def last_words(self) -> list[str]:
        """Return what it wrote to its standard error at last."""
        return list(self._words)

    def _end(self) -> str:
        code = self._wait()
        if code is None:  # it hangs, or has closed a lane in error
            self.kill("did not answer any more", show=False)
            code = self._wait()
        if code is None:  # it hangs in the kernel
            log.error("the worker cannot be ended", worker=self.pid, reason=self._killed_for)
            return f"{self._killed_for}, and cannot be ended"
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

    def _wait(self, seconds: float | None = None) -> int | None:
        """Return its exit code, or ``None`` if it still runs."""
        try:
            return self._process.wait(END_SECONDS if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            return None

    def _listen(self) -> None:
        with self._pipe as pipe:
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
