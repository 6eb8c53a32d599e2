"""Small real films for tests: frames whose content tells their number, clips with sound, and what is in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from deepdream_daemon.films import FilmFacts, FilmOptions, FilmWriter, Frame, Spool
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import levels
from deepdream_daemon.films.reading import open_clip

RATE = Fraction(25)
LIMIT_BYTES = 1 << 30


def frame(number: int, width: int = 96, height: int = 64, *, rate: Fraction = RATE, alpha: bool = False) -> Frame:
    """A smooth picture that moves; with ``alpha``, its left half is transparent."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = (x / 9 + number / 3, y / 7 - number / 5, (x + y) / 20 + number / 9)
    pixels = np.stack([0.5 + 0.5 * np.sin(wave) for wave in waves]).astype(np.float32)
    opacity = (x[None] >= width / 2).astype(np.float32) if alpha else None
    return Frame(pixels=pixels, alpha=opacity, pts=number / rate, duration=1 / rate)


def write_film(
    target: Path,
    spool: Path,
    count: int = 10,
    *,
    facts: FilmFacts | None = None,
    stop: int | None = None,
    notes: list[str] | None = None,
    writer: dict[str, Any] | None = None,
    **options: Any,
) -> Path | None:
    """Write the film of ``count`` frames, going on where an earlier call got to; ``None`` if killed at ``stop``."""
    facts = facts or FilmFacts(width=96, height=64)
    with (
        Spool(spool, LIMIT_BYTES) as kept,
        FilmWriter(target, facts, FilmOptions(**options), kept, **(writer or {})) as film,
    ):
        point = film.resume_point()
        for number in range(point.frames if point else 0, count):
            if number == stop:
                return None
            made = frame(number, facts.width, facts.height, rate=facts.rate, alpha=facts.has_alpha)
            film.write(made, lambda number=number: {"next": number + 1})
        path = finish(film, target)
        if notes is not None:
            notes += film.notes
        return path


def finish(film: FilmWriter, target: Path) -> Path:
    """Put the film together, as ``target``, and forget its chunks."""
    whole = film.assembled()
    (whole.parent / "film.json").unlink()
    return whole.replace(target)


def decoded(path: Path, format: str = "rgb24") -> list[np.ndarray[Any, Any]]:
    """All frames as players have them, in ``format``."""
    av = pyav()
    flags = av.video.reformatter.Interpolation
    exact = int(flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP | flags.ACCURATE_RND | flags.BICUBIC)
    with av.open(str(path)) as container:
        return [
            picture.reformat(format=format, interpolation=exact).to_ndarray()
            for picture in container.decode(container.streams.video[0])
        ]


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    with pyav().open(str(path)) as container:
        return [picture.pts * picture.time_base for picture in container.decode(container.streams.video[0])]


def digest(path: Path | None) -> str:
    """SHA-256 of a file."""
    assert path is not None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def error(picture: np.ndarray[Any, Any], made: Frame) -> float:
    """How far a decoded picture is from the frame that it was, in levels."""
    return float(np.abs(picture.astype(np.float32) - made.pixels.transpose(1, 2, 0) * 255).mean())


def foreign_clip(
    path: Path,
    codec: str,
    pixel_format: str,
    *,
    alpha: bool = False,
    options: dict[str, str] | None = None,
    **said: Any,
) -> Path:
    """A clip of 10 frames as others write it; ``said`` is set on its encoder."""
    av = pyav()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
        for name, value in said.items():
            setattr(stream.codec_context, name, value)
        for number in range(10):
            pixels = levels(frame(number, alpha=alpha), with_alpha=alpha)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgba" if alpha else "rgb24")
            picture = picture.reformat(format=pixel_format, dst_colorspace=said.get("colorspace"))
            for name in ("color_primaries", "color_trc", "colorspace"):
                if name in said:
                    setattr(picture, name, said[name])
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def again(source: Path, target: Path, spool: Path, notes: list[str] | None = None, **options: Any) -> Path:
    """Write a clip's own frames as a film, with its sound."""
    with (
        open_clip(source) as clip,
        Spool(spool, LIMIT_BYTES) as kept,
        FilmWriter(target, clip.facts, FilmOptions(**options), kept, audio_from=source) as film,
    ):
        for read in clip:
            film.write(read)
        path = finish(film, target)
        if notes is not None:
            notes += film.notes
        return path


def clip_with_sound(
    path: Path, *, seconds: float = 1.0, audio: str = "aac", video: str = "libx264", pitch: float = 440.0
) -> Path:
    """A clip of 96 x 64 pixels and 25 frames a second with a tone, as others write it."""
    av = pyav()
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(video, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        tone = container.add_stream(audio, rate=48_000, layout="mono")
        for number in range(round(seconds * 25)):
            pixels = (frame(number).pixels.transpose(1, 2, 0) * 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        for samples in _tone(seconds, pitch, tone):
            container.mux(tone.encode(samples))
        container.mux(tone.encode(None))
    return path


def _tone(seconds: float, pitch: float, stream: Any) -> Iterator[Any]:
    av = pyav()
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=48_000)
    for start in range(0, round(seconds * 48_000), size):
        wave = np.sin(2 * np.pi * pitch * np.arange(start, start + size) / 48_000).astype(np.float32)
        samples = av.AudioFrame.from_ndarray(wave[None] * 0.5, format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = 48_000, start, Fraction(1, 48_000)
        yield from resampler.resample(samples)


def audio_packets(path: Path) -> list[bytes]:
    """The encoded sound of a file, as it is."""
    with pyav().open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


def pitch_of(path: Path) -> tuple[float, float]:
    """The loudest pitch of a file's sound, in Hz, and how long it is in seconds."""
    with pyav().open(str(path)) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        resampler = pyav().AudioResampler(format="flt", layout="mono", rate=rate)
        blocks = [block.to_ndarray() for part in container.decode(stream) for block in resampler.resample(part)]
    samples = np.concatenate(blocks, axis=1)[0]
    loudness = np.abs(np.fft.rfft(samples))
    return float(loudness.argmax() * rate / len(samples)), len(samples) / rate
