"""One decoder process as the daemon sees it: started when it is first needed, watched, and ended when it misbehaves.

Nothing that it says is believed: sizes are compared with what may be, and the memory for the pixels is made here.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import psutil
import structlog

from deepdream_daemon.decoding import wire
from deepdream_daemon.decoding.checking import checked_facts, checked_shape
from deepdream_daemon.decoding.shared import SharedArray, allocate
from deepdream_daemon.decoding.starting import start

log = structlog.get_logger("deepdream")

START_SECONDS = 60.0
"""Python and Pillow from a slow disk."""
PATIENCE = 3.0
"""A picture may take so many times its seconds when the machine is busy with others; its processor time may not."""
_WATCH_SECONDS = 0.2
_END_SECONDS = 5.0
_LONGEST_REMARKS_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Request:
    """A picture to decode, and what that may cost: memory on top of the process's own, processor time, pixels."""

    data: bytes
    max_megapixels: float
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class Refused:
    """The picture is bad; ``reason`` says why."""

    reason: str


class Died(Exception):
    """The decoder ended instead of answering, or had to be ended; ``how`` is one of the words below."""

    def __init__(self, how: str, what: str) -> None:
        super().__init__(what)
        self.how = how


CRASH, SLOW, TOO_LARGE = "crash", "slow", "too large"
"""The picture's fault."""
NO_MEMORY, NO_START = "no memory", "no start"
"""The machine's."""
GONE = "gone"
"""Nobody's: it had waited for long, and ended."""
_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
    | {signal.SIGTRAP, signal.SIGSYS, signal.SIGXFSZ}
)


class Decoder:
    """A process that decodes one picture at a time. ``served`` counts them."""

    def __init__(self, module: str, most_memory_bytes: int) -> None:
        """Start the process; nobody waits until it is there."""
        self.served = 0
        self._process, self._lane, self._remarks = start(module, most_memory_bytes)
        self._is_ready = False
        self._memory: psutil.Process | None = None
        self._base_bytes = 0

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def decode(self, request: Request) -> tuple[SharedArray, dict[str, Any]] | Refused:
        """Return the pixels of the picture and what ``picture.FACTS`` names, or why it is refused.

        Raises :class:`Died`, and ``MemoryError`` or ``OSError`` for troubles of this process. After any of them the
        decoder is of no use any more.
        """
        try:
            if not self._is_ready:
                self._begin()
            return self._decode(request, time.monotonic() + PATIENCE * request.seconds)
        except Died:
            raise
        except (wire.Broken, ConnectionError) as error:
            raise self._death(error, request.seconds) from error
        finally:
            self.served += 1
            self._listen()

    def close(self) -> None:
        """End the process, whatever it does."""
        with contextlib.suppress(OSError):
            self._process.kill()
        with contextlib.suppress(OSError):
            self._lane.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer

    def bury(self) -> None:
        """End the process and give back what it had here; nobody may be waiting for it."""
        self.close()
        self._lane.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel
            self._process.wait(_END_SECONDS)
        with contextlib.suppress(OSError):
            os.close(self._remarks)
        self._remarks = -1

    def _begin(self) -> None:
        words = wire.receive(self._lane, self._watch(time.monotonic() + START_SECONDS, None))
        if words.get("ready") != self.pid:
            raise wire.Broken("it did not introduce itself")
        self._is_ready = True
        if sys.platform != "linux":  # limits of memory are not kept everywhere, so it is watched
            self._memory = psutil.Process(self.pid)
            self._base_bytes = self._memory.memory_info().rss

    def _decode(self, request: Request, until: float) -> tuple[SharedArray, dict[str, Any]] | Refused:
        watch = self._watch(until, request)
        self._lane.settimeout(max(1.0, until - time.monotonic()))
        try:
            words = {"bytes": len(request.data), "memory_bytes": request.memory_bytes}
            wire.send(self._lane, {**words, "seconds": request.seconds, "max_megapixels": request.max_megapixels})
            self._lane.sendall(request.data)
        except TimeoutError as error:
            raise self._hung(request) from error
        answer = wire.receive(self._lane, watch)
        if "refused" in answer:
            return Refused(str(answer["refused"]))
        if "allocate" in answer:
            shared = allocate(checked_shape(answer["allocate"], request.max_megapixels))
            wire.send(self._lane, {"allocated": shared.nbytes}, [shared.fileno()])
            answer = wire.receive(self._lane, watch)
            if "decoded" in answer:
                return shared, checked_facts(answer["decoded"])
            if "refused" in answer:
                return Refused(str(answer["refused"]))
        if answer.get("out_of_memory") == "machine":
            raise Died(NO_MEMORY, "the machine has not enough memory to decode it")
        if "out_of_memory" in answer:
            raise Died(TOO_LARGE, "it needs more memory than it may have")
        raise wire.Broken("it said nothing that was asked for")

    def _watch(self, until: float, request: Request | None) -> Any:
        """Return what waits until the decoder says something, and ends it when it takes too long or too much."""
        poll = select.poll()
        poll.register(self._lane, select.POLLIN)

        def wait() -> None:
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    raise self._hung(request)
                if poll.poll(math.ceil(1000 * (left if self._memory is None else min(left, _WATCH_SECONDS)))):
                    return
                if request is not None and self._takes_too_much(request.memory_bytes):
                    self.close()
                    raise Died(TOO_LARGE, "it needs more memory than it may have")

        return wait

    def _takes_too_much(self, memory_bytes: int) -> bool:
        if self._memory is None:
            return False
        try:
            return bool(self._memory.memory_info().rss > self._base_bytes + memory_bytes)
        except psutil.Error:
            return False  # it has ended, which the lane tells in a moment

    def _hung(self, request: Request | None) -> Died:
        self.close()
        if request is None:
            return Died(NO_START, f"the process that decodes did not start within {START_SECONDS:g} s")
        return Died(SLOW, f"it was not decoded within {PATIENCE * request.seconds:g} s")

    def _death(self, error: Exception, seconds: float) -> Died:
        """Find out how the process ended, or end it."""
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.close()
            return Died(CRASH, f"its decoder answered nonsense ({error})")
        if not self._is_ready:
            return Died(NO_START, f"the process that decodes could not start (status {status}): {self._listen()}")
        if status == 0:
            return Died(GONE, "its decoder had ended")
        if status > 0:
            return Died(CRASH, f"its decoder failed (status {status})")
        name = signal.Signals(-status).name
        if -status == signal.SIGXCPU:
            return Died(SLOW, f"it takes more than {seconds:g} s to decode")
        if -status in _CRASHES:
            return Died(CRASH, f"it crashes its decoder ({name})")
        return Died(NO_MEMORY, f"its decoder was killed ({name}), most likely because the machine is short of memory")

    def _listen(self) -> str:
        """Write what libraries complained about to the log, and return the last of it."""
        if self._remarks < 0:
            return ""
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._remarks, _LONGEST_REMARKS_BYTES).decode("utf-8", "backslashreplace").strip()
            if said:
                log.debug("a decoder says", pid=self.pid, remarks=said)
            return said[-1000:]
        return ""
