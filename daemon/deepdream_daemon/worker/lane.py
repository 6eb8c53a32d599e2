"""A lane: a pair of connected sockets between the daemon and its worker, for messages and descriptors.

Both ends are processes of ours, started by the same user and running the same plugins, so messages are pickled. What
comes from a decoder, which a hostile picture may have taken over, never goes through a lane.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any

_HEADER = struct.Struct("!QB")  # bytes that follow, descriptors that come along
MOST_DESCRIPTORS = 64
"""With one message."""
REST_SECONDS = 30.0
"""The rest of a message that has begun to arrive takes an instant, unless the other side hangs."""
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class LaneClosed(Exception):
    """The other side is gone."""


class Lane:
    """One end. Any thread may send; one at a time receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sending = threading.Lock()

    @staticmethod
    def pair() -> tuple[Lane, socket.socket]:
        """Return one end, and the socket of the other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return Lane(ours), theirs

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message, with copies of ``descriptors``; raises :class:`LaneClosed`."""
        if len(descriptors) > MOST_DESCRIPTORS:
            raise ValueError(f"{len(descriptors)} descriptors are more than go with a message ({MOST_DESCRIPTORS}).")
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        header = _HEADER.pack(len(body), len(descriptors))
        try:
            with self._sending:
                if descriptors:
                    sent = socket.send_fds(self._socket, [header], list(descriptors))
                    self._socket.sendall(header[sent:])
                else:
                    self._socket.sendall(header)
                self._socket.sendall(body)
        except OSError as error:
            raise LaneClosed(str(error)) from error

    def is_readable(self, seconds: float = 0.0) -> bool:
        """Tell whether a message, or the end, arrives within ``seconds``."""
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
        except ValueError as error:
            raise LaneClosed("it was closed here") from error
        return bool(poll.poll(seconds * 1000))

    def receive(self, seconds: float | None = None) -> tuple[Any, list[int]]:
        """Return the next message and its descriptors, which are the caller's to close.

        Raises :class:`LaneClosed`, or ``TimeoutError`` when none has begun to arrive within ``seconds``. Who has a
        limit does not wait for ever for the rest of one either.
        """
        if seconds is not None and not self.is_readable(seconds):
            raise TimeoutError
        descriptors: list[int] = []
        try:
            header, descriptors, _, _ = socket.recv_fds(self._socket, _HEADER.size, MOST_DESCRIPTORS, _CLOSE_ON_EXEC)
            if not header:
                raise LaneClosed("the other side closed it")  # noqa: TRY301  (the descriptors are closed below)
            for number in descriptors:
                os.set_inheritable(number, False)
            rest_seconds = None if seconds is None else REST_SECONDS
            length, count = _HEADER.unpack(header + self._exactly(_HEADER.size - len(header), rest_seconds))
            message = pickle.loads(self._exactly(length, rest_seconds))
            if count != len(descriptors):  # this process has no room for more
                raise LaneClosed(f"{count} descriptors were sent, and {len(descriptors)} came")  # noqa: TRY301
        except BaseException as error:
            for number in descriptors:
                os.close(number)
            if isinstance(error, OSError):
                raise LaneClosed(str(error)) from error
            raise
        return message, descriptors

    def shut(self) -> None:
        """Have whoever receives, here or there, find it closed. Any thread may."""
        with contextlib.suppress(OSError):  # the other side was quicker
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give it up, when nobody receives any more: another file may get its number."""
        self.shut()
        self._socket.close()

    def _exactly(self, count: int, seconds: float | None) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            if seconds is not None and not self.is_readable(seconds):
                raise LaneClosed("the other side hangs within a message")
            got = self._socket.recv_into(view)
            if got == 0:
                raise LaneClosed("the other side closed it within a message")
            view = view[got:]
        return bytes(data)
