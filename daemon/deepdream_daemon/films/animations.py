"""Pictures that move: GIF, WebP and APNG, written from lossless chunks once all frames are known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.films import embedding, palette
from deepdream_daemon.films.chunks import Chunk
from deepdream_daemon.films.encoders import ANIMATIONS
from deepdream_daemon.films.encoding import pictures
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import FilmFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNITS: Mapping[str, Fraction] = {"gif": Fraction(1, 100), "webp": Fraction(1, 1000)}
"""In which times are counted; an APNG has fractions of its own."""
_SHORTEST_GIF = 2
"""In hundredths: browsers show for a tenth of a second what is to be shown for a shorter time."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """Which frames are shown (the rest come too fast), when and for how long."""

    places: tuple[int, ...]
    ticks: tuple[int, ...]
    durations: tuple[int, ...]


def write(
    chunks: Sequence[Chunk],
    target: Path,
    container: str,
    facts: FilmFacts,
    *,
    quality: int,
    provenance: Mapping[str, object] | None = None,
) -> None:
    """Write the frames of ``chunks`` to ``target``; an animation without a loop count of its own plays for ever."""
    time_base = _UNITS.get(container, facts.time_base)
    shown = _shown(chunks, facts.time_base, time_base, _SHORTEST_GIF if container == "gif" else 1)
    options = {"fflags": "+bitexact", **_muxer_options(container, facts.loop or 0, shown, time_base)}
    with pyav().open(str(target), "w", format=container, options=options) as film:
        stream = film.add_stream(ANIMATIONS[container], rate=facts.rate, options=_encoder_options(container, quality))
        context = stream.codec_context
        context.width, context.height, context.time_base = facts.width, facts.height, time_base
        context.pix_fmt = _pixel_format(container, quality, has_alpha=facts.has_alpha)
        stream.time_base = time_base
        frames = _frames(chunks, shown, container, facts, quality=quality, pixel_format=context.pix_fmt)
        for frame, tick, duration in zip(frames, shown.ticks, shown.durations, strict=True):
            frame.pts, frame.time_base, frame.duration = tick, time_base, duration
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    if container == "webp" and facts.has_alpha:
        embedding.mark_transparent(target)
    if provenance is not None:
        embedding.embed(target, container, provenance, (facts.width, facts.height))


def _frames(
    chunks: Sequence[Chunk], shown: _Shown, container: str, facts: FilmFacts, *, quality: int, pixel_format: str
) -> Iterator[Any]:
    wanted = frozenset(shown.places)

    def levels() -> Iterator[NDArray[np.uint8]]:
        every = itertools.chain.from_iterable(pictures(chunk.path, "rgba") for chunk in chunks)
        return (frame for place, frame in enumerate(every) if place in wanted)

    if container == "gif":
        size, colours = facts.width * facts.height, palette.colours_for(quality)
        chosen = palette.choose(levels(), len(wanted), size, colours, has_alpha=facts.has_alpha)
        yield from map(chosen.frame, levels())
        return
    for frame in levels():
        yield pyav().VideoFrame.from_ndarray(frame, format="rgba").reformat(format=pixel_format)


def _shown(chunks: Sequence[Chunk], theirs: Fraction, ours: Fraction, shortest: int) -> _Shown:
    """Count the times of all frames in the unit ``ours``; one that comes less than ``shortest`` after the last shown is
    left out.
    """
    ticks = [round(tick * theirs / ours) for chunk in chunks for tick in chunk.ticks]
    end = round((chunks[-1].ticks[-1] + chunks[-1].durations[-1]) * theirs / ours)
    places = [0]
    for place, tick in enumerate(ticks):
        if tick - ticks[places[-1]] >= shortest:
            places.append(place)
    starts = [ticks[place] for place in places]
    ends = [*starts[1:], max(end, starts[-1] + shortest)]
    durations = tuple(end - start for start, end in zip(starts, ends, strict=True))
    return _Shown(places=tuple(places), ticks=tuple(starts), durations=durations)


def _muxer_options(container: str, plays: int, shown: _Shown, time_base: Fraction) -> dict[str, str]:
    """Return how often it plays, as each container counts it (0: for ever), and how long its last frame stays."""
    if container == "gif":
        again = plays - 1 if plays else 0  # counted are the repetitions; -1 writes no count, which is one play
        return {"loop": str(again or -1 if plays else 0), "final_delay": str(shown.durations[-1])}
    if container == "apng":
        last = shown.durations[-1] * time_base
        return {"plays": str(plays), "final_delay": f"{last.numerator}/{last.denominator}"}
    return {"loop": str(plays)}


def _encoder_options(container: str, quality: int) -> dict[str, str]:
    if container == "webp":
        return {"lossless": "1"} if quality == 100 else {"lossless": "0", "quality": str(quality)}
    return {"pred": "mixed"} if container == "apng" else {}


def _pixel_format(container: str, quality: int, *, has_alpha: bool) -> str:
    if container == "gif":
        return "pal8"
    if container == "apng":
        return "rgba" if has_alpha else "rgb24"
    return "bgra" if quality == 100 or has_alpha else "yuv420p"
