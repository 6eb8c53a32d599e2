"""The sound of a source in its film: copied as it is if the container can hold it, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from deepdream_daemon.films.extra import pyav

# What players of each container can be expected to play, and what the rest becomes. Matroska holds all there is.
_HELD: Mapping[str, frozenset[str]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
    "webm": frozenset({"opus", "vorbis"}),
}
_ENCODED: Mapping[str, tuple[str, str]] = {"mp4": ("aac", "AAC"), "mov": ("aac", "AAC"), "webm": ("libopus", "Opus")}
_BIT_RATE_PER_CHANNEL = 96_000
_LAYOUTS: Mapping[int, str] = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""By the number of channels, since many files tell no more."""
_OPUS_RATE = 48_000


class Sound:
    """The audio of the file ``source``, for a film whose first frame is the source's; a context manager.

    ``notes`` tells what could not be kept as it was.
    """

    def __init__(self, source: Path) -> None:
        self.notes: list[str] = []
        self._source = source
        self._opened: list[Any] = []

    def __enter__(self) -> Sound:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the source."""
        for opened in self._opened:
            opened.close()
        self._opened.clear()

    def tracks(self, film: Any, container: str) -> list[Iterator[Any]]:
        """Add a stream to ``film`` for each of the source's and return their packets, in order of time."""
        av = pyav()
        try:
            listed = self._open()
        except (av.FFmpegError, OSError) as error:
            self.notes.append(f"the sound is left out: the source cannot be read any more ({error})")
            return []
        start = _start(listed)
        found = []
        for place, stream in enumerate(listed.streams.audio):
            name = stream.codec_context.name
            source = self._open()  # each track reads for itself, so that none waits for another
            if container == "mkv" or name in _HELD[container]:
                found.append(_copied(source, place, film, start))
                continue
            library, shown = _ENCODED[container]
            try:
                found.append(_encoded(source, place, film, start, library))
                self.notes.append(f"{container} cannot hold the sound as it is ({name}): encoded anew as {shown}")
            except (av.FFmpegError, ValueError) as error:
                self.notes.append(f"{container} cannot hold the sound ({name}), and it cannot be decoded ({error})")
        return found

    def _open(self) -> Any:
        self._opened.append(pyav().open(str(self._source)))
        return self._opened[-1]


def _start(source: Any) -> Fraction:
    """Return when the first frame of the source is shown, which is when the film begins."""
    if not source.streams.video or source.streams.video[0].start_time is None:
        return Fraction(0)
    video = source.streams.video[0]
    return Fraction(video.start_time * video.time_base)


def _copied(source: Any, place: int, film: Any, start: Fraction) -> Iterator[Any]:
    stream = source.streams.audio[place]
    track = film.add_stream_from_template(stream)

    def packets() -> Iterator[Any]:
        for packet in source.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            offset = round(start / packet.time_base)
            packet.pts -= offset
            packet.dts = packet.pts if packet.dts is None else packet.dts - offset
            packet.stream = track
            yield packet

    return packets()


def _encoded(source: Any, place: int, film: Any, start: Fraction, library: str) -> Iterator[Any]:
    stream = source.streams.audio[place]
    rate = _OPUS_RATE if library == "libopus" else stream.codec_context.sample_rate
    track = film.add_stream(library, rate=rate)
    channels = stream.codec_context.layout.nb_channels
    layout = _LAYOUTS.get(channels, "stereo")
    track.codec_context.layout = layout
    track.codec_context.bit_rate = _BIT_RATE_PER_CHANNEL * channels
    track.codec_context.flags |= pyav().codec.context.Flags.bitexact
    track.codec_context.open()
    context = track.codec_context
    resampler = pyav().AudioResampler(
        format=context.format, layout=layout, rate=rate, frame_size=context.frame_size or None
    )

    def packets() -> Iterator[Any]:
        for frame in (*source.decode(stream), None):
            if frame is not None and frame.pts is not None:
                frame.pts -= round(start / frame.time_base)
            for resampled in resampler.resample(frame):
                yield from track.encode(resampled)
        yield from track.encode(None)

    return packets()
