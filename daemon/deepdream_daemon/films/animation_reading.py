"""GIF, WebP and APNG, read by Pillow: each frame as it is shown, with what the ones before it left."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.limits import ClipLimits
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures.decode import HOSTILE_INPUT

_PILLOW = {"gif": "GIF", "webp": "WEBP", "apng": "PNG"}
_TOO_SHORT, _INSTEAD = Fraction(1, 100), Fraction(1, 10)
"""What browsers make of a time in a GIF or a WebP that is no longer, and of none. An APNG's are kept."""


class AnimationSource:
    """An animation of more than one frame; see ``reading.ClipSource``."""

    def __init__(self, file: BinaryIO, container: str, limits: ClipLimits) -> None:
        """Walk through all of it: how many frames there are is nowhere said."""
        self._file = file
        self._container = container
        self._limits = limits
        self._next = 0
        self._image = self._opened()
        try:
            limits.check_size(*self._image.size)
            limits.check_frames(getattr(self._image, "n_frames", 1))
            self._durations, has_alpha = self._walk()
        except HOSTILE_INPUT as error:
            raise self._bad(error) from error
        if len(self._durations) < 2:
            raise BadPicture(f"this {container.upper()} is a still: it has one frame.")
        total = sum(self._durations, Fraction(0))
        self.facts = FilmFacts(
            width=self._image.width,
            height=self._image.height,
            rate=len(self._durations) / total,
            is_variable=len(set(self._durations)) > 1,
            has_alpha=has_alpha,
            loop=self._plays(),
            container=container,
            frames=len(self._durations),
            duration=total,
        )

    def __enter__(self) -> AnimationSource:
        return self

    def __exit__(self, *of_error: object) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames from where it is."""
        while self._next < len(self._durations):
            number, self._next = self._next, self._next + 1
            try:
                self._image.seek(number)
                levels = np.asarray(self._image.convert("RGBA"), np.float32) / np.float32(255)
            except HOSTILE_INPUT as error:
                raise self._bad(error) from error
            planes = np.ascontiguousarray(levels.transpose(2, 0, 1))
            yield Frame(
                pixels=planes[:3],
                alpha=planes[3:] if self.facts.has_alpha else None,
                pts=sum(self._durations[:number], Fraction(0)),
                duration=self._durations[number],
            )

    def seek_frame(self, number: int) -> None:
        """Go on with the frame ``number``."""
        self._next = number

    def _opened(self) -> Any:
        Image.init()
        factory, _accept = Image.OPEN[_PILLOW[self._container]]
        try:
            return factory(self._file, "")
        except HOSTILE_INPUT as error:
            raise self._bad(error) from error

    def _walk(self) -> tuple[list[Fraction], bool]:
        durations: list[Fraction] = []
        has_alpha = False
        while True:
            try:
                self._image.seek(len(durations))
            except EOFError:
                break
            self._image.load()
            self._limits.check_size(*self._image.size)
            durations.append(self._duration())
            self._limits.check_frames(len(durations))
            self._limits.check_seconds(sum(durations, Fraction(0)))
            has_alpha = has_alpha or self._has_alpha()
        return durations, has_alpha

    def _duration(self) -> Fraction:
        told = Fraction(self._image.info.get("duration") or 0).limit_denominator(100_000) / 1000
        return told if told > (0 if self._container == "apng" else _TOO_SHORT) else _INSTEAD

    def _has_alpha(self) -> bool:
        image = self._image
        if image.mode == "RGBA":
            return bool(image.getchannel("A").getextrema()[0] < 255)
        return "transparency" in image.info and image.convert("RGBA").getchannel("A").getextrema()[0] < 255

    def _plays(self) -> int | None:
        told: int | None = self._image.info.get("loop")
        if self._container == "gif":
            return 1 if told is None else told and told + 1  # counted are the repetitions
        return told

    def _bad(self, error: Exception) -> BadPicture:
        reason = str(error) or type(error).__name__
        return BadPicture(f"a damaged {self._container.upper()}: {reason}. Copy or export it again.")
