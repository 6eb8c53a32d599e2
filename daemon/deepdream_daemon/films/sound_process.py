"""A reader of one track of sound: a process that has given up what it can do besides, as that of the frames.

It hands over packets as they are in the file, or samples, in parts of bounded size. What it answers is JSON, with the
bytes behind it.
"""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

from deepdream_daemon.decoding import wire
from deepdream_daemon.decoding.confining import Confinement
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.process import import_all
from deepdream_daemon.films.streams import DEMUXERS, film_of
from deepdream_daemon.intake.moving import HEAD_BYTES, container_of

PART_BYTES, PART_PIECES = 1 << 18, 256
"""Of what is handed over at once."""
MOST_CHANNELS = 8

Piece = tuple[dict[str, Any], bytes]


def main(number: int, most_memory_bytes: int) -> None:
    """Read a track of the file that comes over the socket with the descriptor ``number``."""
    lane = socket.socket(fileno=number)
    import_all(pyav())
    confinement = Confinement(most_memory_bytes)
    wire.send(lane, {"ready": os.getpid()})
    try:
        _serve(lane, confinement)
    except (wire.Broken, ConnectionError):
        return  # whoever asked has enough of it
    except MemoryError:
        wire.send(lane, {"out_of_memory": "clip" if confinement.has_room() else "machine"})


def _serve(lane: socket.socket, confinement: Confinement) -> None:
    request, number = wire.receive_descriptor(lane)
    confinement.bound(request["memory_bytes"], request["seconds"])
    with os.fdopen(number, "rb") as file:
        try:
            source = _opened(file)
            wire.send(lane, {"tracks": [_told(stream) for stream in source.streams.audio], "start": _start(source)})
            asked = wire.receive(lane)
            stream = source.streams.audio[asked["track"]]
            pieces = _samples(source, stream) if asked["decode"] else _packets(source, stream)
            is_over = False
            while not is_over:
                confinement.bound(request["memory_bytes"], request["seconds"])
                part, is_over = _part(pieces)
                wire.send(lane, {"pieces": [{**facts, "bytes": len(data)} for facts, data in part], "end": is_over})
                lane.sendall(b"".join(data for _, data in part))
                wire.receive(lane)
        except pyav().FFmpegError as error:
            wire.send(lane, {"lost": error.strerror or str(error)})
        except OSError as error:  # the disk's
            wire.send(lane, {"errno": error.errno or 0, "lost": str(error)})


def _opened(file: BinaryIO) -> Any:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return pyav().open(file, "r", format=DEMUXERS.get(container_of(head) or "", "mov"))


def _told(stream: Any) -> dict[str, Any]:
    """Return what whoever writes the film has to know of a track; no codec if nothing here knows it."""
    context = stream.codec_context
    if context is None:
        return {"codec": ""}
    return {
        "codec": context.codec.canonical_name,
        "rate": context.sample_rate,
        "channels": context.layout.nb_channels,
        "setup": base64.b64encode(context.extradata or b"").decode("ascii"),
        "language": stream.language or "",
    }


def _start(source: Any) -> str:
    """Return when the first frame is shown, which is when the film begins."""
    film = film_of(source)
    return str(Fraction(0) if film is None or film.start_time is None else film.start_time * film.time_base)


def _part(pieces: Iterator[Piece]) -> tuple[list[Piece], bool]:
    """Return what is handed over next, and whether that is all."""
    part: list[Piece] = []
    size = 0
    for piece in pieces:
        part.append(piece)
        size += len(piece[1])
        if size >= PART_BYTES or len(part) >= PART_PIECES:
            return part, False
    return part, True


def _packets(source: Any, stream: Any) -> Iterator[Piece]:
    for packet in source.demux(stream):
        if not packet.size or packet.pts is None:
            continue
        decoded = packet.pts if packet.dts is None else packet.dts
        times = {"pts": packet.pts, "dts": decoded, "duration": packet.duration or 0}
        yield {name: str(value * packet.time_base) for name, value in times.items()}, bytes(packet)


def _samples(source: Any, stream: Any) -> Iterator[Piece]:
    """Yield what can be decoded, as interleaved floats; what cannot is passed over."""
    av = pyav()
    resampler: Any = None
    kind: tuple[str, str, int] | None = None
    for packet in source.demux(stream):
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            yield {"damaged": True}, b""
            continue
        for frame in frames:
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if now != kind:
                channels = frame.layout.nb_channels
                layout = frame.layout.name if channels <= MOST_CHANNELS else "stereo"
                resampler, kind = av.AudioResampler(format="flt", layout=layout, rate=frame.sample_rate), now
            for even in resampler.resample(frame):
                facts = {"rate": even.sample_rate, "channels": even.layout.nb_channels}
                if even.pts is not None:
                    facts["pts"] = str(even.pts * even.time_base)
                yield facts, even.to_ndarray().tobytes()
