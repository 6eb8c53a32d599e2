"""MP4, MOV, MKV, WebM and AVI, read by PyAV: counted by their packets first, then decoded frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from deepdream_daemon.films.converting import has_alpha, rgb
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import BT709, HDR_TRANSFERS, PRIMARIES, FilmFacts, Frame
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.rotation import upright
from deepdream_engine.errors import BadPicture

DEMUXERS = {"mp4": "mov", "mov": "mov", "mkv": "matroska", "webm": "matroska", "avi": "avi"}
_COARSE = Fraction(1, 500)
"""Times that differ by less are the same: Matroska rounds to 1/1000 s."""
_MISSING_SHARE, _MISSING_SECONDS = Fraction(1, 50), Fraction(1, 4)
"""Of the length that the header tells: what may be missing before it is truncated, as some programs count the end."""
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_BLOCKS_PIXELS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """What the packets tell: when frames are shown (in units of the stream), in order, and when the last one ends."""

    times: tuple[int, ...]
    end: int


class VideoSource:
    """A clip; see ``reading.ClipSource``."""

    def __init__(self, file: BinaryIO, container: str, limits: ClipLimits, threads: int = 0) -> None:
        """Open it, check what it declares, and count its frames."""
        av = pyav()
        self._file = file
        self._name = container.upper()
        self._limits = limits
        self._threads = threads
        self._next = 0
        try:
            self._input = av.open(file, "r", format=DEMUXERS[container])
        except (av.FFmpegError, ValueError) as error:
            raise BadPicture(
                f"a damaged or truncated {self._name}: it cannot be opened ({_reason(error)}). Copy or export it again."
            ) from error
        try:
            self._stream = self._video()
            self._counted = self._count()
            self._context = self._decoder()
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
        """Yield the frames from where it is."""
        av = pyav()
        try:
            for picture in self._pictures(self._begin()):
                if self._next >= len(self._counted.times):
                    return
                if picture.is_corrupt:
                    raise BadPicture(f"a damaged {self._name}: frame {self._next} is broken. Copy or export it again.")
                number, self._next = self._next, self._next + 1
                yield self._frame(picture, number)
        except av.FFmpegError as error:
            raise self._bad(error) from error
        if self._next < len(self._counted.times):
            raise BadPicture(
                f"a damaged or truncated {self._name}: of its {len(self._counted.times)} frames, only "
                f"{self._next} can be decoded. Copy or export it again."
            )

    def seek_frame(self, number: int) -> None:
        """Go on with the frame ``number``."""
        self._next = number

    def _video(self) -> Any:
        av = pyav()
        stream = film_of(self._input)
        if stream is None:
            raise BadPicture(f"this {self._name} has no film in it, only sound or nothing at all.")
        if stream.codec_context is None:
            raise BadPicture(
                f"this {self._name} is of an unknown codec: nothing here can decode it. Export it as H.264."
            )
        self._limits.check_size(stream.codec_context.width, stream.codec_context.height)
        self._limits.check_frames(stream.frames)
        if self._input.duration is not None:
            self._limits.check_seconds(Fraction(self._input.duration, av.time_base))
        return stream

    def _decoder(self) -> Any:
        """Return the stream's own decoder, or the one that knows of transparency."""
        context = self._stream.codec_context
        told = {name.lower(): value for name, value in self._stream.metadata.items()}
        if context.name in _WITH_ALPHA and told.get("alpha_mode") == "1":
            own, context = context, pyav().CodecContext.create(_WITH_ALPHA[context.name], "r")
            context.extradata = own.extradata
        context.thread_count = self._threads
        # Of what comes, whatever the header says; decoders count whole blocks of up to 64 pixels.
        context.options = {"max_pixels": str(self._limits.max_pixels * 5 // 4 + _BLOCKS_PIXELS)}
        return context

    def _count(self) -> _Counted:
        times, end, declared = [], 0, self._stream.frames
        for packet in self._input.demux(self._stream):
            shown = packet.dts if packet.pts is None else packet.pts
            if not packet.size or shown is None or packet.is_discard:
                continue
            times.append(shown)
            end = max(end, shown + (packet.duration or 0))
            self._limits.check_frames(len(times))
            self._limits.check_seconds((end - times[0]) * self._stream.time_base)
        if not times:
            raise BadPicture(f"this {self._name} has no frames. Copy or export it again.")
        missing = self._missing(times, end)
        if len(times) < declared - max(1, declared // 100) or missing is not None:
            told = missing or f"its header tells of {declared} frames, and {len(times)} are there"
            raise BadPicture(f"a truncated {self._name}: {told}. Copy it again.")
        times.sort()
        usual = times[-1] - times[-2] if len(times) > 1 else 0
        return _Counted(times=tuple(times), end=max(end, times[-1] + (usual or 1)))

    def _missing(self, times: list[int], end: int) -> str | None:
        if self._input.duration is None:
            return None
        declared = Fraction(self._input.duration, pyav().time_base)
        there = (end - min(times)) * self._stream.time_base
        if self._input.streams.audio or declared - there <= max(_MISSING_SECONDS, declared * _MISSING_SHARE):
            return None  # the sound may be longer
        return f"its header tells of {float(declared):.1f} s, and {float(there):.1f} s are there"

    def _facts(self, container: str) -> FilmFacts:
        base, times = self._stream.time_base, self._counted.times
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        duration = (self._counted.end - times[0]) * base
        rate = self._stream.average_rate or self._stream.guessed_rate or len(times) / duration
        is_variable = bool(steps) and any(abs(step * base - 1 / rate) > _COARSE for step in steps)
        first = next(self._pictures(self._begin()), None)
        if first is None:
            raise BadPicture(f"this {self._name} has no frame that can be decoded. Copy or export it again.")
        self._limits.check_size(first.width, first.height)
        self._turned = -first.rotation % 360
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
        )

    def _begin(self) -> int:
        """Bring the file to the key frame before the next frame; return from which time on frames count."""
        wanted = self._counted.times[self._next]
        if self._next:
            self._input.seek(wanted, stream=self._stream, backward=True)
        else:
            self._input.seek(min(0, wanted), stream=self._stream, backward=True)
        self._context.flush_buffers()
        return wanted

    def _pictures(self, start: int) -> Iterator[Any]:
        for packet in self._input.demux(self._stream):
            for picture in self._context.decode(packet):
                shown = picture.pts if picture.pts is not None else picture.dts
                if shown is None or shown >= start:
                    yield picture

    def _frame(self, picture: Any, number: int) -> Frame:
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
        return Frame(pixels=planes[:3], alpha=alpha, pts=start, duration=end - start)

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


def film_of(source: Any) -> Any | None:
    """Return the stream of ``source`` that is shown: the first that is no cover."""
    cover = pyav().stream.Disposition.attached_pic
    return next((stream for stream in source.streams.video if not stream.disposition & cover), None)


def _reason(error: Exception) -> str:
    """Return what FFmpeg says, without the name of a file that it did not have."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
