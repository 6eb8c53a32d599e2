"""A clip that is read by a process of its own, so that one made to do harm gains little; see ``process``.

Nothing that the process says is believed: sizes and times are compared with what may be, and the memory for the pixels
is made here.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deepdream_daemon.decoding import wire
from deepdream_daemon.decoding.shared import SharedArray, allocate
from deepdream_daemon.decoding.starting import start
from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.light import Light
from deepdream_daemon.films.limits import ClipLimits, fraction_of
from deepdream_engine.errors import BadPicture

_MODULE = "deepdream_daemon.films.process"
_START_SECONDS, _END_SECONDS = 60.0, 5.0
_PATIENCE = 3.0
"""A frame may take so many times its seconds when the machine is busy with others; its processor time may not."""
_BYTES_PER_PIXEL = 128
"""Sixteen frames that others are made from, and one on its way to float."""
_LEAST_BYTES = 256 << 20


class ApartClip:
    """A clip in a process of its own; see ``reading.ClipSource``.

    ``seconds`` of processor time are allowed for opening it, and for each frame.
    """

    def __init__(self, source: Path | BinaryIO, limits: ClipLimits | None = None, *, seconds: float = 60.0) -> None:
        """Open it; raises :class:`BadPicture` with the reason, and ``OSError`` or ``MemoryError`` for the machine's.

        A file that is open already is closed here: the process has it.
        """
        limits = limits or ClipLimits()
        self._next = 0
        self._seconds = seconds
        self._shared: SharedArray | None = None
        memory_bytes = _LEAST_BYTES + _BYTES_PER_PIXEL * limits.max_pixels
        with source.open("rb") if isinstance(source, Path) else source as file:
            self._process, self._lane, self._remarks = start(_MODULE, memory_bytes)
            try:
                self._answer(_START_SECONDS, "ready")
                request = {"memory_bytes": memory_bytes, "seconds": seconds, "limits": asdict(limits)}
                wire.send(self._lane, request, [file.fileno()])
                self.facts = _facts(self._answer(_PATIENCE * seconds, "facts")["facts"], limits)
                planes = 4 if self.facts.has_alpha else 3
                self._shared = allocate((planes, self.facts.height, self.facts.width))
                wire.send(self._lane, {"shape": list(self._shared.shape)}, [self._shared.fileno()])
            except BaseException as error:
                self.close()
                if isinstance(error, ConnectionError):
                    raise _died() from error
                raise

    def __enter__(self) -> ApartClip:
        return self

    def __exit__(self, *of_error: object) -> None:
        """End the process."""
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames from where it is."""
        while True:
            number, self._next = self._next, self._next + 1
            try:
                wire.send(self._lane, {"frame": number})
            except ConnectionError as error:
                raise _died() from error
            answer = self._answer(_PATIENCE * self._seconds, "pts", "end")
            if "end" in answer:
                self._next = number
                return
            yield self._frame(answer)

    def seek_frame(self, number: int) -> None:
        """Go on with the frame ``number``."""
        self._next = number

    def close(self) -> None:
        """End the process, whatever it does."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._lane.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel
            self._process.wait(_END_SECONDS)
        if self._remarks >= 0:
            os.close(self._remarks)
            self._remarks = -1
        if self._shared is not None:
            self._shared.close()

    def _frame(self, answer: dict[str, Any]) -> Frame:
        if self._shared is None:
            raise RuntimeError("frames come after the facts")
        planes = np.array(self._shared.array)  # the process may write to its own meanwhile
        try:
            pts, duration = fraction_of(answer["pts"]), fraction_of(answer["duration"])
        except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
            raise _died() from error
        alpha, is_lost = planes[3:] if len(planes) == 4 else None, bool(answer.get("is_lost"))
        return Frame(pixels=planes[:3], alpha=alpha, pts=pts, duration=duration, is_lost=is_lost)

    def _answer(self, seconds: float, *expected: str) -> dict[str, Any]:
        until = time.monotonic() + seconds
        try:
            words = wire.receive(self._lane, lambda: _wait(self._lane, until, seconds))
        except (wire.Broken, ConnectionError) as error:
            raise _died() from error
        if "refused" in words:
            raise BadPicture(str(words["refused"]))
        if words.get("out_of_memory") == "machine":
            raise MemoryError("the machine has not enough memory to decode the clip")
        if "out_of_memory" in words:
            raise BadPicture("this clip needs more memory than it may have. Export it again, or smaller.")
        if not any(name in words for name in expected):
            raise _died()
        return words


def _wait(lane: socket.socket, until: float, seconds: float) -> None:
    left = until - time.monotonic()
    if left <= 0 or not select.select([lane], [], [], left)[0]:
        raise BadPicture(f"this clip cannot be decoded: a frame took more than {seconds:g} s. Export it again.")


def _facts(told: Any, limits: ClipLimits) -> FilmFacts:
    """Return the facts as if a stranger had written them."""
    try:
        rate, duration = fraction_of(told["rate"]), fraction_of(told["duration"])
        numbers = {name: int(told[name]) for name in ("width", "height", "rotation", "frames")}
        facts = FilmFacts(
            **numbers,
            rate=rate,
            duration=duration,
            is_variable=bool(told["is_variable"]),
            has_alpha=bool(told["has_alpha"]),
            loop=None if told["loop"] is None else int(told["loop"]),
            container=str(told["container"])[:10],
            audio=tuple(str(name)[:30] for name in told["audio"]),
            pixel_aspect=fraction_of(told["pixel_aspect"]),
            bits=int(told["bits"]),
            primaries=int(told["primaries"]),
            transfer=int(told["transfer"]),
            light=_light(told["light"]),
        )
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise _died() from error
    limits.check_size(facts.width, facts.height)
    limits.check_frames(facts.frames or 0)
    limits.check_seconds(facts.duration or 0)
    return facts


def _light(told: Any) -> Light:
    display, levels = (tuple(int(value) for value in told[name][:10]) for name in ("display", "levels"))
    return Light(display=display, levels=levels, is_dynamic=bool(told["is_dynamic"]))


def _died() -> BadPicture:
    return BadPicture(
        "this clip ends the process that decodes it. It is damaged, or made to do harm: export it again, or delete it."
    )
