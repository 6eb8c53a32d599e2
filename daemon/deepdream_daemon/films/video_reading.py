"""MP4, MOV, MKV, WebM and AVI, read by PyAV: counted by their packets first, then decoded frame by frame."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from deepdream_daemon.films.converting import has_alpha, rgb
from deepdream_daemon.films.counting import count
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import BT709, HDR_TRANSFERS, PRIMARIES, FilmFacts, Frame
from deepdream_daemon.films.light import NO_LIGHT, light_of
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.rotation import upright
from deepdream_daemon.films.streams import DEMUXERS, decoder_of, shown
from deepdream_engine.errors import BadPicture

_COARSE = Fraction(1, 500)
"""Times that differ by less are the same: Matroska rounds to 1/1000 s."""
_MOST_LOST_SHARE = Fraction(1, 2)
"""Of all frames: so many in a row may be lost before it is no film any more."""


class VideoSource:
    """A clip; see ``reading.ClipSource``."""

    def __init__(self, file: BinaryIO, container: str, limits: ClipLimits, threads: int = 0) -> None:
        """Open it, check what it declares, and count its frames."""
        av = pyav()
        self._file = file
        self._name = container.upper()
        self._has_times = container != "avi"  # else they are those of decoding
        self._limits = limits
        self._next = 0
        try:
            self._input = av.open(file, "r", format=DEMUXERS[container])
        except (av.FFmpegError, ValueError) as error:
            raise BadPicture(
                f"a damaged or truncated {self._name}: it cannot be opened ({_reason(error)}). Copy or export it again."
            ) from error
        try:
            self._stream = shown(self._input, self._name, limits)
            self._counted = count(self._input, self._stream, limits, self._name)
            self._context = decoder_of(self._stream, limits, threads)
            self.facts = self._facts(container)
        except av.FFmpegError as error:
            raise self._bad(error) from error

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, *of_error: object) -> None:
        """Close the file."""
        self._input.close()
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames from where it is. For one that is lost, the one before is shown once more; at the beginning,
        the first that can be decoded."""
        last, before = -1, None
        try:
            for number, picture in self._numbered(self._next):
                if number > self._next:
                    yield from self._stand_ins(before or picture, last, min(number, len(self._counted.times)))
                if number >= len(self._counted.times):
                    return
                last, before = number, picture
                if number == self._next:
                    self._next += 1
                    yield self._frame(picture, number)
        except pyav().FFmpegError as error:
            raise self._bad(error) from error
        if self._next < len(self._counted.times):
            yield from self._stand_ins(before, last, len(self._counted.times))

    def seek_frame(self, number: int) -> None:
        """Go on with the frame ``number``."""
        self._next = number

    def _facts(self, container: str) -> FilmFacts:
        base, times = self._stream.time_base, self._counted.times
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        duration = (self._counted.end - times[0]) * base
        rate = self._stream.average_rate or self._stream.guessed_rate or len(times) / duration
        is_variable = bool(steps) and any(abs(step * base - 1 / rate) > _COARSE for step in steps)
        _, first = next(self._from(0), (0, None))
        if first is None:
            raise BadPicture(f"this {self._name} has no frame that can be decoded. Copy or export it again.")
        self._limits.check_size(first.width, first.height)
        self._turned = round(-first.rotation / 90) * 90 % 360  # a header may say any angle
        self._size = (first.width, first.height)
        self._has_alpha = has_alpha(first.format)
        bits = max(part.bits for part in first.format.components)
        self._has_depth = bits > 8
        sideways = self._turned in (90, 270)
        aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        primaries, transfer = int(first.color_primaries), int(first.color_trc)
        return FilmFacts(
            width=first.height if sideways else first.width,
            height=first.width if sideways else first.height,
            rate=Fraction(rate),
            is_variable=is_variable,
            rotation=self._turned,
            has_alpha=self._has_alpha,
            container=container,
            frames=len(times),
            duration=duration,
            audio=tuple(getattr(each.codec_context, "name", "unknown") for each in self._input.streams.audio),
            pixel_aspect=1 / aspect if sideways else aspect,
            bits=bits,
            primaries=primaries if primaries in PRIMARIES else BT709,
            transfer=transfer if transfer in HDR_TRANSFERS else BT709,
            light=light_of(first) if transfer in HDR_TRANSFERS else NO_LIGHT,
        )

    def _stand_ins(self, picture: Any, last: int, until: int) -> Iterator[Frame]:
        """Yield ``picture`` in place of the next frames until that number, which are lost as all are after ``last``."""
        lost = until - last - 1
        if lost > len(self._counted.times) * _MOST_LOST_SHARE:
            raise BadPicture(
                f"a damaged or truncated {self._name}: {lost} of its {len(self._counted.times)} frames in a row cannot "
                "be decoded. Copy or export it again."
            )
        while self._next < until:
            number, self._next = self._next, self._next + 1
            yield self._frame(picture, number, is_lost=True)

    def _numbered(self, wanted: int) -> Iterator[tuple[int, Any]]:
        """Yield the frames that can be decoded, with their numbers, from number ``wanted`` on, or from the one before
        it if it is lost itself."""
        back = 0
        while True:
            numbered = self._from(max(0, wanted - back))
            first = next(numbered, None)
            if back >= wanted or (first is not None and first[0] <= wanted):
                break
            back = max(1, 2 * back)
        if first is not None:
            yield first
            yield from numbered

    def _from(self, number: int) -> Iterator[tuple[int, Any]]:
        """Yield what can be decoded from frame ``number`` on, with its number: frames are in order, and what has been
        left out once some are lost is told by their times."""
        times, is_damaged = self._counted.times, False
        start = times[number]
        # To the key frame before it; the first may be shown before time begins.
        self._input.seek(start if number else min(0, start), stream=self._stream, backward=True)
        self._context.flush_buffers()
        for at, picture in self._decoded():
            is_lost = picture is None or picture.is_corrupt
            is_damaged = is_damaged or is_lost
            if at is not None and at < start:
                continue
            if is_damaged and self._has_times:
                if is_lost:
                    continue  # the next one tells its place
                place = len(times) if picture.pts is None else bisect_left(times, picture.pts)
                if place < len(times) and times[place] == picture.pts:
                    number = max(number, place)
            if not is_lost:
                yield number, picture
            number += 1

    def _decoded(self) -> Iterator[tuple[int | None, Any]]:
        """Yield each picture and when it is shown; ``None`` for a packet of which none can be made."""
        av = pyav()
        for packet in self._input.demux(self._stream):
            try:
                pictures = self._context.decode(packet)
            except av.FFmpegError as error:
                if isinstance(error, MemoryError):
                    raise
                yield packet.dts if packet.pts is None else packet.pts, None
                continue
            for picture in pictures:
                yield picture.dts if picture.pts is None else picture.pts, picture

    def _frame(self, picture: Any, number: int, *, is_lost: bool = False) -> Frame:
        if (picture.width, picture.height) != self._size:
            raise BadPicture(
                f"this {self._name} changes its size at frame {number}, from {self._size[0]} x {self._size[1]} to "
                f"{picture.width} x {picture.height}. Export it with one size."
            )
        levels = upright(rgb(picture, has_alpha=self._has_alpha, has_depth=self._has_depth), self._turned)
        most = np.float32(65_535 if self._has_depth else 255)
        planes = np.ascontiguousarray(levels.transpose(2, 0, 1), np.float32) / most
        start, end = self._times(number)
        alpha = planes[3:] if self._has_alpha else None
        return Frame(pixels=planes[:3], alpha=alpha, pts=start, duration=end - start, is_lost=is_lost)

    def _times(self, number: int) -> tuple[Fraction, Fraction]:
        facts, times, base = self.facts, self._counted.times, self._stream.time_base
        if not facts.is_variable:
            return number / facts.rate, (number + 1) / facts.rate
        ends = self._counted.end if number + 1 == len(times) else times[number + 1]
        return (times[number] - times[0]) * base, (ends - times[0]) * base

    def _bad(self, error: Exception) -> BadPicture:
        return BadPicture(
            f"a damaged {self._name}: it cannot be decoded from frame {self._next} on ({_reason(error)}). "
            "Copy or export it again."
        )


def _reason(error: Exception) -> str:
    """Return what FFmpeg says, without the name of a file that it did not have."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
