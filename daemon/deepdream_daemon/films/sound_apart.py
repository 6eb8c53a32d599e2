"""One track of sound, read by a process of its own; see ``sound_process``. Nothing that it says is believed."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

from deepdream_daemon.decoding import wire
from deepdream_daemon.decoding.starting import start
from deepdream_daemon.films.limits import fraction_of
from deepdream_engine.errors import DeepDreamError

_MODULE = "deepdream_daemon.films.sound_process"
_START_SECONDS, _END_SECONDS = 60.0, 5.0
_PATIENCE = 3.0
_MEMORY_BYTES = 256 << 20
_MOST_BYTES, _MOST_PIECES, _MOST_TRACKS, _MOST_SETUP_BYTES = 64 << 20, 1024, 1000, 1 << 20
_MOST_TIME = 1 << 20
"""In seconds: any other time is nonsense."""


class SoundLost(DeepDreamError):
    """The sound, or the rest of it, cannot be read."""


@dataclass(frozen=True)
class Track:
    """What a track is; ``setup`` is what its decoder has to be told before the first packet."""

    codec: str
    rate: int
    channels: int
    setup: bytes
    language: str


@dataclass(frozen=True)
class Packet:
    """A packet as it is in the file; times are in seconds."""

    data: bytes
    pts: Fraction
    dts: Fraction
    duration: Fraction


@dataclass(frozen=True)
class Samples:
    """Interleaved float32 from the time ``pts`` on, or from where the last ended; ``damaged`` stands for some that
    cannot be decoded."""

    data: bytes
    rate: int
    channels: int
    pts: Fraction | None
    damaged: bool = False


class ApartSound:
    """The file ``source``, which is given away: what sound it has, and one track of it. To be closed."""

    def __init__(self, source: BinaryIO, *, seconds: float = 60.0) -> None:
        """Open it; raises :class:`SoundLost`, and ``OSError`` or ``MemoryError`` for the machine's reasons. ``seconds``
        of processor time are allowed for that, and for each part."""
        self._seconds = seconds
        with source:
            self._process, self._lane, self._remarks = start(_MODULE, _MEMORY_BYTES)
            try:
                self._answer(_START_SECONDS, "ready")
                request = {"memory_bytes": _MEMORY_BYTES, "seconds": seconds}
                wire.send(self._lane, request, [source.fileno()])
                told = self._answer(_PATIENCE * seconds, "tracks")
                self.tracks, self.start = _listed(told)
            except BaseException as error:
                self.close()
                if isinstance(error, ConnectionError):
                    raise _died() from error
                raise

    def packets(self, place: int) -> Iterator[Packet]:
        """Yield the packets of one track."""
        for told, data in self._pieces(place, decode=False):
            yield Packet(data, *(_seconds_of(told[name]) for name in ("pts", "dts", "duration")))

    def samples(self, place: int) -> Iterator[Samples]:
        """Yield one track decoded."""
        for told, data in self._pieces(place, decode=True):
            if told.get("damaged"):
                yield Samples(b"", 0, 0, None, damaged=True)
                continue
            rate, channels = int(told["rate"]), int(told["channels"])
            if not (0 < rate <= 1 << 20 and 0 < channels <= 8) or len(data) % (4 * channels):
                raise _died()
            yield Samples(data, rate, channels, _seconds_of(told["pts"]) if "pts" in told else None)

    def close(self) -> None:
        """End the process, whatever it does; may be called again."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._lane.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel
            self._process.wait(_END_SECONDS)
        if self._remarks >= 0:
            os.close(self._remarks)
            self._remarks = -1

    def _pieces(self, place: int, *, decode: bool) -> Iterator[tuple[dict[str, Any], bytes]]:
        try:
            wire.send(self._lane, {"track": place, "decode": decode})
            while True:
                told = self._answer(_PATIENCE * self._seconds, "pieces")
                pieces = told["pieces"]
                sizes = [int(piece["bytes"]) for piece in pieces]
                if len(pieces) > _MOST_PIECES or min(sizes, default=0) < 0 or sum(sizes) > _MOST_BYTES:
                    raise _died()
                for piece, size in zip(pieces, sizes, strict=True):
                    self._lane.settimeout(self._seconds)
                    yield piece, wire.receive_bytes(self._lane, size) if size else b""
                if told.get("end"):
                    return
                self._lane.settimeout(None)
                wire.send(self._lane, {"more": True})
        except (wire.Broken, ConnectionError, TimeoutError, ValueError, LookupError, TypeError) as error:
            raise _died() from error

    def _answer(self, seconds: float, expected: str) -> dict[str, Any]:
        until = time.monotonic() + seconds

        def wait() -> None:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._lane], [], [], left)[0]:
                raise SoundLost(f"a part of it took more than {seconds:g} s to read")

        try:
            words = wire.receive(self._lane, wait)
        except (wire.Broken, ConnectionError) as error:
            raise _died() from error
        if words.get("errno"):
            raise OSError(int(words["errno"]), "the sound of the clip cannot be read")
        if "lost" in words:
            raise SoundLost(str(words["lost"])[:200])
        if words.get("out_of_memory") == "machine":
            raise MemoryError("the machine has not enough memory to read the sound of the clip")
        if "out_of_memory" in words:
            raise SoundLost("it needs more memory than it may have")
        if expected not in words:
            raise _died()
        return words


def _listed(told: dict[str, Any]) -> tuple[tuple[Track, ...], Fraction]:
    """Return the tracks, and when the film begins, as if a stranger had written them."""
    try:
        tracks = tuple(map(_track, told["tracks"][:_MOST_TRACKS]))
        return tracks, _seconds_of(told["start"])
    except (ValueError, LookupError, TypeError) as error:
        raise _died() from error


def _track(told: dict[str, Any]) -> Track:
    if not told["codec"]:
        return Track("", 0, 0, b"", "")
    setup = base64.b64decode(told["setup"], validate=True)[:_MOST_SETUP_BYTES]
    rate, channels, language = int(told["rate"]), int(told["channels"]), str(told["language"])
    is_language = len(language) == 3 and language.isascii() and language.isalpha()
    return Track(str(told["codec"])[:30], rate, channels, setup, language if is_language else "")


def _seconds_of(told: str) -> Fraction:
    try:
        time = fraction_of(told)
    except ValueError as error:
        raise _died() from error
    if abs(time) > _MOST_TIME:
        raise SoundLost("its times are nonsense")
    return time


def _died() -> SoundLost:
    return SoundLost("it ends the process that reads it: it is damaged, or made to do harm")
