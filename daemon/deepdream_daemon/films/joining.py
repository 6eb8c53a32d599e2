"""Chunks become one film: packets copied as they are, their times counted anew, with the sound of the source."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from deepdream_daemon.films import rotation
from deepdream_daemon.films.audio import Sound
from deepdream_daemon.films.chunks import Chunk
from deepdream_daemon.films.encoders import MUXERS
from deepdream_daemon.films.encoding import packets
from deepdream_daemon.films.extra import pyav
from deepdream_engine.pictures import provenance as how_made


def join(
    chunks: Sequence[Chunk],
    target: Path,
    *,
    container: str,
    time_base: Fraction,
    fast_start: bool = True,
    rotated: int = 0,
    tag: str | None = None,
    has_alpha: bool = False,
    sound: Sound | None = None,
    provenance: Mapping[str, object] | None = None,
) -> None:
    """Write ``chunks``, one after the other, to the file ``target``, in the order and with the times they have."""
    options = {"fflags": "+bitexact"}  # no time of writing, no random identifier: the same film is the same bytes
    if container in ("mp4", "mov") and fast_start:
        options["movflags"] = "+faststart"
    av = pyav()
    with (
        rotation.turned(chunks[0].path, rotated) as first,
        av.open(str(first)) as template,
        av.open(str(target), "w", format=MUXERS[container], options=options) as film,
    ):
        if provenance is not None:
            film.metadata["comment"] = f"{how_made.KEYWORD} {how_made.to_text(provenance)}"
        stream = film.add_stream_from_template(template.streams.video[0], opaque=True)  # the decoder's name will do
        stream.time_base = time_base
        if has_alpha:
            stream.metadata["alpha_mode"] = "1"  # else players do not look for what lies beside each frame of VP9
        if tag is not None and container in ("mp4", "mov"):
            stream.codec_context.codec_tag = tag
        tracks = [_pictures(chunks, stream, time_base)]
        if sound is not None:
            tracks += sound.tracks(film, container)
        # The muxer keeps what comes early until the other tracks have come as far, so they go side by side.
        for _, _, packet in heapq.merge(*(_ordered(track, number) for number, track in enumerate(tracks))):
            film.mux_one(packet)


def _ordered(track: Iterator[Any], number: int) -> Iterator[tuple[Fraction, int, Any]]:
    for packet in track:
        yield packet.dts * packet.time_base, number, packet


def _pictures(chunks: Sequence[Chunk], stream: Any, time_base: Fraction) -> Iterator[Any]:
    """Yield all packets with times of their own.

    What a chunk's container says of times is not used: it may be coarse, and each chunk begins anew. Packets are shown
    in the order of their times, so the first of them by time is the chunk's first frame. A packet is decoded when the
    frame ``delay`` places before it in the film is shown.
    """
    delay = max(map(_delay, chunks))
    last = deque[int](maxlen=delay + 1)  # the times of the frames that the film has, in order, up to this packet
    start, first_duration = chunks[0].ticks[0], chunks[0].durations[0]
    last.extend(start - (delay - place) * first_duration for place in range(delay))
    for chunk in chunks:
        found = list(packets(chunk.path))
        for place, (packet, rank) in enumerate(zip(found, _ranks(found), strict=True)):
            last.append(chunk.ticks[place])
            packet.pts, packet.dts = chunk.ticks[rank], last[0]
            packet.duration = chunk.durations[rank]
            packet.time_base = time_base
            packet.stream = stream
            yield packet


def _ranks(found: Sequence[Any]) -> list[int]:
    """Return for each packet, in the order of decoding, which frame it shows."""
    ranks = [0] * len(found)
    for rank, place in enumerate(sorted(range(len(found)), key=lambda place: int(found[place].pts))):
        ranks[place] = rank
    return ranks


def _delay(chunk: Chunk) -> int:
    """Return by how many frames decoding must run ahead of showing."""
    return max(place - rank for place, rank in enumerate(_ranks(list(packets(chunk.path)))))
