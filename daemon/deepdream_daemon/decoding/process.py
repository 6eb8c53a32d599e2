"""A decoder: a process without torch that decodes one picture after the other into memory that it is handed.

What it answers is JSON. It ends when the daemon does, when nothing came for a while, or when a picture makes it.
"""

from __future__ import annotations

import base64
import gc
import os
import select
import socket
from typing import TYPE_CHECKING, Any

from deepdream_daemon.decoding import wire
from deepdream_daemon.decoding.confining import Confinement
from deepdream_daemon.decoding.shared import SharedArray, attach
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode
from deepdream_engine.pictures.decode import warm_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepdream_engine.pictures import Picture

IDLE_SECONDS = 300.0
"""After so long without a picture its memory is worth more than its start."""
BYTES_FACTS = ("exif", "icc_profile", "xmp")


def main(number: int, most_memory_bytes: int) -> None:
    """Decode what comes over the socket with the descriptor ``number``."""
    lane = socket.socket(fileno=number)
    warm_up()  # nothing can be imported afterwards
    confinement = Confinement(most_memory_bytes)
    wire.send(lane, {"ready": os.getpid(), "without_files": confinement.without_files})
    try:
        while select.select([lane], [], [], IDLE_SECONDS)[0]:
            _serve(lane, confinement)
    except (wire.Broken, ConnectionError):
        return  # the daemon has ended


def _serve(lane: socket.socket, confinement: Confinement) -> None:
    request = wire.receive(lane)
    confinement.bound(request["memory_bytes"], request["seconds"])
    try:
        answer = _decoded(lane, request)
    except MemoryError:
        answer = {}  # what is said comes when all that the picture took has been given back
    if not answer:
        gc.collect()
        answer = {"out_of_memory": "picture" if confinement.has_room() else "machine"}
    wire.send(lane, answer)


def _decoded(lane: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    data = wire.receive_bytes(lane, request["bytes"])

    def allocate(height: int, width: int, *, has_alpha: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
        planes = _allocated(lane, (4 if has_alpha else 3, height, width)).array
        return planes[:3], planes[3] if has_alpha else None

    try:
        return {"decoded": _facts(decode(data, max_megapixels=request["max_megapixels"], allocate=allocate))}
    except BadPicture as error:
        return {"refused": str(error)}


def _allocated(lane: socket.socket, shape: tuple[int, int, int]) -> SharedArray:
    """Ask for memory. The daemon makes it, so that this process cannot have more than the picture may."""
    wire.send(lane, {"allocate": shape})
    _, descriptor = wire.receive_descriptor(lane)
    return attach(descriptor, shape)


def _facts(picture: Picture) -> dict[str, Any]:
    blocks = {name: getattr(picture, name) for name in BYTES_FACTS}
    coded = {name: None if block is None else base64.b64encode(block).decode("ascii") for name, block in blocks.items()}
    return {"format": picture.format, "dpi": picture.dpi, **coded}
