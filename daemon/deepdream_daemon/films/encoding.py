"""One chunk of a film: frames in, a small file out that begins with a key frame and needs no other chunk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_daemon.films.encoders import Encoder, is_deep
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import BT709, BT2020
from deepdream_daemon.films.light import NO_LIGHT, Light, options_for
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Chroma is interpolated, not repeated, and rounded rather than cut off: else colours shift by a level or two.
_SCALING = "FULL_CHR_H_INT", "FULL_CHR_H_INP", "ACCURATE_RND", "BITEXACT", "BICUBIC"
_MOST_REORDERED = 16
"""Frames that a codec may keep back: H.264 and HEVC allow no more."""
_LIMITED = 1  # as FFmpeg counts ranges


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """All that decides how frames become bytes."""

    encoder: Encoder
    pixel_format: str
    quality: int
    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction = Fraction(1)
    primaries: int = BT709
    transfer: int = BT709
    light: Light = NO_LIGHT

    @property
    def settings(self) -> dict[str, str]:
        """The library's options."""
        settings = self.encoder.settings(self.quality, self.pixel_format)
        for name, value in options_for(self.encoder.codec, self.light).items():
            settings[name] = f"{settings[name]}:{value}" if name in settings else value
        return settings

    @property
    def matrix(self) -> int:
        """By which colours become luma and chroma."""
        return BT2020 if self.primaries == BT2020 else BT709

    @property
    def bits(self) -> int:
        """Of a channel, as frames are handed over: 16 if the film keeps more than 8."""
        return 16 if is_deep(self.pixel_format) else 8

    @property
    def has_alpha(self) -> bool:
        """Whether frames are handed over with it."""
        return self.pixel_format.startswith(("yuva", "bgra", "rgba", "gbrap"))

    @property
    def suffix(self) -> str:
        """Of the file of a chunk."""
        return ".mkv" if self.muxer == "matroska" else f".{self.muxer}"

    @property
    def muxer(self) -> str:
        """The container of a chunk. Matroska has room for transparency beside VP9; its coarse times are not used."""
        return "matroska" if self.has_alpha else self.encoder.chunk


class ChunkEncoder:
    """Writes one chunk to ``path``; frames are those of ``frames.levels`` with ``bits`` and ``has_alpha``, of which
    ``lost`` stand for others."""

    def __init__(self, path: Path, encoding: Encoding, width: int, height: int) -> None:
        """Open the encoder; raises :class:`BadOption` if it refuses."""
        av = pyav()
        os.environ.setdefault("SVT_LOG", "1")  # else its AV1 encoder writes a page to standard error for each chunk
        self.ticks: list[int] = []
        self.durations: list[int] = []
        self.lost = 0
        self._packets = 0
        self._encoding = encoding
        self._container = av.open(str(path), "w", format=encoding.muxer, options={"fflags": "+bitexact"})
        try:
            self._stream = self._container.add_stream(
                encoding.encoder.library, rate=encoding.rate, options=encoding.settings
            )
            context = self._stream.codec_context
            context.width, context.height = width, height
            context.pix_fmt = encoding.pixel_format
            context.time_base = encoding.time_base
            context.sample_aspect_ratio = encoding.pixel_aspect
            if is_yuv(encoding.pixel_format):
                # Players guess otherwise what the numbers mean, and by the size.
                self._tag(context)
            context.open()
        except (av.FFmpegError, ValueError) as error:
            self._container.close()
            raise BadOption(
                f"{encoding.encoder.codec} cannot write {width} x {height} pixels as {encoding.pixel_format}: {error}. "
                "Choose another codec or pixel_format, or another size."
            ) from error
        self._reformatter = av.video.reformatter.VideoReformatter()

    def add(self, pixels: NDArray[Any], tick: int, duration: int) -> None:
        """Encode one frame; its time counts from the beginning of the film."""
        self.ticks.append(tick)
        self.durations.append(duration)
        frame = self._frame(pixels)
        frame.pts, frame.time_base = tick - self.ticks[0], self._encoding.time_base
        self._mux(frame)

    def close(self) -> None:
        """Write what the encoder has kept back, and end the file."""
        self._mux(None)
        self._container.close()

    def abandon(self) -> None:
        """Give up what is open; the file is of no use."""
        with contextlib.suppress(pyav().FFmpegError):
            self._stream.encode(None)  # SVT-AV1 complains on the terminal when it is cut off
        self._container.close()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            # x265 makes up the times of decoding where there are fewer frames than it looks ahead. These will do: they
            # rise, none is after the frame is shown, and the film gets its own.
            packet.dts = self._packets - _MOST_REORDERED
            self._packets += 1
            self._container.mux_one(packet)

    def _frame(self, pixels: NDArray[Any]) -> Any:
        av = pyav()
        given = ("rgba" if pixels.shape[2] == 4 else "rgb24") if pixels.dtype == np.uint8 else _deep(pixels)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=given)
        wanted = self._encoding.pixel_format
        if not is_yuv(wanted):
            return self._reformatter.reformat(frame, format=wanted)
        flags = av.video.reformatter.Interpolation
        interpolation = sum(int(flags[name]) for name in _SCALING)
        frame = self._reformatter.reformat(
            frame,
            format=wanted,
            dst_colorspace=self._encoding.matrix,
            src_color_range=av.video.reformatter.ColorRange.JPEG,
            dst_color_range=av.video.reformatter.ColorRange.MPEG,
            interpolation=interpolation,
        )
        self._tag(frame)
        return frame

    def _tag(self, named: Any) -> None:
        encoding = self._encoding
        named.colorspace, named.color_range = encoding.matrix, _LIMITED
        named.color_primaries, named.color_trc = encoding.primaries, encoding.transfer


def packets(path: Path) -> Iterator[Any]:
    """Yield the packets of a chunk in the order of decoding."""
    with pyav().open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:  # the last one is empty: it tells a decoder to give out what it has
                yield packet


def pictures(path: Path, format: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a chunk, decoded to ``format``, such as ``rgba``."""
    with pyav().open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            yield frame.to_ndarray(format=format)


def is_yuv(pixel_format: str) -> bool:
    """Tell whether colours are converted, so that it matters by which rule."""
    return pixel_format.startswith("yuv")


def _deep(pixels: NDArray[Any]) -> str:
    return "rgba64le" if pixels.shape[2] == 4 else "rgb48le"
