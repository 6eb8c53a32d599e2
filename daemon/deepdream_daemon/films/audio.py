"""The sound of a source in its film: copied as it is if the container can hold it, else encoded anew.

It is read by processes of its own, one for each track, so that none waits for another. A sound that cannot be read, or
not to its end, costs the film nothing else: what there is of it is kept, and the rest is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.sound_apart import ApartSound, SoundLost, Track
from deepdream_daemon.films.sound_header import CODEC_IDS, add_track, can_copy

if TYPE_CHECKING:
    from deepdream_daemon.films.clipping import ClipFile

# What players of each container can be expected to play, and what the rest becomes.
_HELD: Mapping[str, frozenset[str]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
    "mkv": frozenset(CODEC_IDS),
    "webm": frozenset({"opus", "vorbis"}),
}
_ENCODED: Mapping[str, tuple[str, str]] = {
    "mp4": ("aac", "AAC"),
    "mov": ("aac", "AAC"),
    "mkv": ("flac", "FLAC"),
    "webm": ("libopus", "Opus"),
}
_BIT_RATE_PER_CHANNEL = 96_000
_Read = Callable[[ApartSound], Iterator[Any]]
_LAYOUTS: Mapping[int, str] = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""By the number of channels, since many files tell no more."""
_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
"""That all encoders know; any other becomes the first."""
_OPUS_RATE = 48_000
_MOST_TRACKS = 8
_LONGEST_SECONDS = 3600
"""As long as clips are: a small file can tell of years of silence."""


class Sound:
    """The audio of ``source``, for a film whose first frame is the source's; a context manager.

    ``notes`` tells what could not be kept as it was.
    """

    def __init__(self, source: Path | ClipFile) -> None:
        self.notes: list[str] = []
        self._source = source
        self._opened: list[ApartSound] = []

    def __enter__(self) -> Sound:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes that read it."""
        for opened in self._opened:
            opened.close()
        self._opened.clear()

    def tracks(self, film: Any, container: str) -> list[Iterator[Any]]:
        """Add a stream to ``film`` for each of the source's and return their packets, in order of time."""
        try:
            first = self._open()
        except SoundLost as error:
            self.notes.append(f"the sound is left out: {error}")
            return []
        listed = first.tracks
        if len(listed) > _MOST_TRACKS:
            self.notes.append(f"of {len(listed)} tracks of sound, the first {_MOST_TRACKS} are kept")
        found = []
        for place, told in enumerate(listed[:_MOST_TRACKS]):
            packets = self._added(place, told, film, container)
            if packets is not None:
                found.append(self._read(first if place == 0 else None, packets))
        return found

    def _open(self) -> ApartSound:
        file: BinaryIO = self._source.open("rb") if isinstance(self._source, Path) else self._source.opened()
        self._opened.append(ApartSound(file))
        return self._opened[-1]

    def _added(self, place: int, told: Track, film: Any, container: str) -> _Read | None:
        """Add a track to ``film``; return what makes its packets of the source, or ``None`` if it is left out."""
        library, shown = _ENCODED[container]
        if not told.codec or told.rate < 1 or told.channels < 1:
            self.notes.append("a track of sound is left out: nothing here can decode it")
            return None
        is_copied = told.codec in _HELD[container] and told.channels < 256 and can_copy(told.codec, told.setup)
        try:
            if is_copied:
                track = add_track(film, told.codec, rate=told.rate, channels=told.channels, setup=told.setup)
            else:
                track = _encoder(film, library, told)
        except (pyav().FFmpegError, ValueError) as error:
            self.notes.append(f"{container} cannot hold the sound ({told.codec}), so it is left out: {error}")
            return None
        if told.language:
            track.metadata["language"] = told.language
        if is_copied:
            return lambda source: _copied(source, place, track, told.rate)
        self.notes.append(f"{container} cannot hold the sound as it is ({told.codec}): encoded anew as {shown}")
        return lambda source: self._encoded(source, place, track)

    def _read(self, opened: ApartSound | None, packets: _Read) -> Iterator[Any]:
        """Yield what can be read of a track, and note if that is not all."""
        seconds = Fraction(0)
        try:
            for packet in packets(opened or self._open()):
                seconds = packet.dts * packet.time_base
                if seconds > _LONGEST_SECONDS:
                    self.notes.append(f"the sound is cut after {_LONGEST_SECONDS} s")
                    return
                yield packet
        except SoundLost as error:
            self.notes.append(f"the sound ends after {float(seconds):.1f} s: {error}")

    def _encoded(self, source: ApartSound, place: int, track: Any) -> Iterator[Any]:
        context = track.codec_context
        resampler: Any = None
        kind: tuple[int, int] | None = None
        damaged = written = 0
        for part in source.samples(place):
            if part.damaged:
                damaged += 1
                continue
            if kind != (part.rate, part.channels):
                if resampler is not None:
                    yield from _all(track, resampler.resample(None))
                kind, resampler = (part.rate, part.channels), _resampler(context)
            if part.pts is not None:
                written = round((part.pts - source.start) * part.rate)
            frame = _frame(part.data, part.rate, part.channels, written)
            written += frame.samples
            yield from _all(track, resampler.resample(frame))
        if resampler is not None:
            yield from _all(track, resampler.resample(None))
        yield from track.encode(None)
        if damaged:
            self.notes.append(f"{damaged} pieces of the sound cannot be decoded: they are left out")


def _copied(source: ApartSound, place: int, track: Any, rate: int) -> Iterator[Any]:
    """Yield the packets; those that do not come after the one before would end the film."""
    last: int | None = None
    for packet in source.packets(place):
        ticks = round((packet.dts - source.start) * rate)
        if last is not None and ticks <= last:
            continue
        last = ticks
        copy = pyav().Packet(packet.data)
        copy.time_base = Fraction(1, rate)
        copy.dts, copy.pts = ticks, max(ticks, round((packet.pts - source.start) * rate))
        copy.duration = max(0, round(packet.duration * rate))
        copy.is_keyframe = True
        copy.stream = track
        yield copy


def _encoder(film: Any, library: str, told: Track) -> Any:
    rate = _OPUS_RATE if library == "libopus" or told.rate not in _RATES else told.rate
    track = film.add_stream(library, rate=rate)
    context = track.codec_context
    context.layout = _LAYOUTS.get(told.channels, "stereo")
    if library != "flac":
        context.bit_rate = _BIT_RATE_PER_CHANNEL * context.layout.nb_channels
    context.flags |= pyav().codec.context.Flags.bitexact
    context.open()
    return track


def _resampler(context: Any) -> Any:
    return pyav().AudioResampler(
        format=context.format, layout=context.layout, rate=context.sample_rate, frame_size=context.frame_size or None
    )


def _frame(data: bytes, rate: int, channels: int, start: int) -> Any:
    samples = np.frombuffer(data, np.float32)[None]
    frame = pyav().AudioFrame.from_ndarray(samples, format="flt", layout=_LAYOUTS[channels])
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def _all(track: Any, frames: Any) -> Iterator[Any]:
    for frame in frames:
        yield from track.encode(frame)
