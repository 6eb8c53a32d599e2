"""A reader: a process that decodes one clip into memory that it is handed, having given up what it can do besides.

It is given a descriptor of the clip, and can open no other file. What it answers is JSON; it ends with its clip.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import socket
from collections.abc import Iterator
from dataclasses import asdict
from types import ModuleType
from typing import Any

from deepdream_daemon.decoding import wire
from deepdream_daemon.decoding.confining import Confinement
from deepdream_daemon.decoding.shared import attach
from deepdream_daemon.films import animation_reading, video_reading
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import Frame
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.reading import ClipSource, open_clip
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures.decode import warm_up

NEEDED = (animation_reading, video_reading)
"""Nothing can be imported once it is confined."""


def main(number: int, most_memory_bytes: int) -> None:
    """Read the clip that comes over the socket with the descriptor ``number``."""
    lane = socket.socket(fileno=number)
    warm_up()
    import_all(pyav())
    confinement = Confinement(most_memory_bytes)
    wire.send(lane, {"ready": os.getpid()})
    try:
        _serve(lane, confinement)
    except (wire.Broken, ConnectionError):
        return  # whoever reads the clip has enough of it
    except BadPicture as error:
        wire.send(lane, {"refused": str(error)})
    except MemoryError:
        wire.send(lane, {"out_of_memory": "clip" if confinement.has_room() else "machine"})


def import_all(av: ModuleType) -> None:
    """Import what PyAV does only when a file asks for it, such as subtitles beside the film."""
    for found in pkgutil.walk_packages(av.__path__, "av."):
        if not found.name.endswith(("__main__", ".datasets")):
            importlib.import_module(found.name)


def _serve(lane: socket.socket, confinement: Confinement) -> None:
    request, number = wire.receive_descriptor(lane)
    confinement.bound(request["memory_bytes"], request["seconds"])
    # One thread: more would be processes to the system, of which it may have none.
    with open_clip(os.fdopen(number, "rb"), ClipLimits(**request["limits"]), threads=1) as clip:
        facts = {name: value if type(value) in _PLAIN else str(value) for name, value in asdict(clip.facts).items()}
        listed = {"audio": list(clip.facts.audio), "light": asdict(clip.facts.light)}
        wire.send(lane, {"facts": facts | listed})
        shape, number = wire.receive_descriptor(lane)
        planes = attach(number, shape["shape"]).array
        frames: Iterator[Frame] = iter(())
        expected = -1
        while True:
            wanted = wire.receive(lane)["frame"]
            confinement.bound(request["memory_bytes"], request["seconds"])
            if wanted != expected:
                frames = _from(clip, wanted)
            expected = wanted + 1
            wire.send(lane, _handed(next(frames, None), planes))


_PLAIN = (int, bool, type(None))


def _from(clip: ClipSource, number: int) -> Iterator[Frame]:
    clip.seek_frame(number)
    return iter(clip)


def _handed(frame: Frame | None, planes: Any) -> dict[str, Any]:
    if frame is None:
        return {"end": True}
    planes[:3] = frame.pixels
    if len(planes) == 4:
        planes[3:] = frame.alpha
    return {"pts": str(frame.pts), "duration": str(frame.duration), "is_lost": frame.is_lost}
