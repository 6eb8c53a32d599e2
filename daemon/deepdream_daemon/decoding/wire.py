"""What a decoder and the daemon say to each other: lines of JSON with their length before them, descriptors and bytes.

JSON and not pickle, since a picture may have taken the decoder over: the worst that it can say is nonsense, which is
:class:`Broken`.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

_LENGTH = struct.Struct(">I")
LONGEST_BYTES = 128 << 20
"""Of a line: the metadata of a picture, at 4 letters for 3 bytes."""
_CHUNK_BYTES = 1 << 30


class Broken(Exception):
    """The other side has gone, or says what nobody can understand."""


def send(lane: socket.socket, words: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Say ``words``, and hand ``descriptors`` over with them."""
    line = json.dumps(words, allow_nan=False).encode("ascii")
    head = _LENGTH.pack(len(line))
    if descriptors:
        # The descriptors go with the first byte that is sent: with more at once, the kernel may cut in between.
        socket.send_fds(lane, [head[:1]], list(descriptors))
        head = head[1:]
    lane.sendall(head + line)


def receive(lane: socket.socket, wait: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Hear what the other side says. ``wait`` returns when there is something to read, or raises."""
    return _parsed(_exactly(lane, _LENGTH.size, wait), lane, wait)


def receive_descriptor(lane: socket.socket) -> tuple[dict[str, Any], int]:
    """Hear what the other side says, with the one descriptor that it hands over."""
    first, descriptors, _flags, _address = socket.recv_fds(lane, 1, 1)
    if len(descriptors) != 1:
        raise Broken("no descriptor was handed over")
    return _parsed(first + _exactly(lane, _LENGTH.size - 1), lane), descriptors[0]


def receive_bytes(lane: socket.socket, count: int) -> bytes:
    """Read ``count`` bytes; they are in memory once, if there is less than a gigabyte of them."""
    return _exactly(lane, count, flags=socket.MSG_WAITALL)


def _parsed(head: bytes, lane: socket.socket, wait: Callable[[], None] = lambda: None) -> dict[str, Any]:
    (length,) = _LENGTH.unpack(head)
    if length > LONGEST_BYTES:
        raise Broken(f"a line of {length} bytes; the longest has {LONGEST_BYTES}")
    try:
        words = json.loads(_exactly(lane, length, wait))
    except (ValueError, RecursionError) as error:
        raise Broken(f"no JSON: {error}") from error
    if not isinstance(words, dict):
        raise Broken("no table of words")
    return words


def _exactly(lane: socket.socket, count: int, wait: Callable[[], None] = lambda: None, *, flags: int = 0) -> bytes:
    parts: list[bytes] = []
    missing = count
    while missing:
        wait()
        try:
            part = lane.recv(min(missing, _CHUNK_BYTES), flags)
        except ConnectionError as error:
            raise Broken(str(error)) from error
        if not part:
            raise Broken("the other side has gone")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
