"""A decoder in a real process that pictures can take over: words in the file make it do what a hostile one would."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import time
from typing import Any

from deepdream_daemon.decoding import process, wire
from deepdream_engine.pictures import Picture, decode

WORDS = re.compile(rb"DO:(\w+);")


def main(number: int, most_memory_bytes: int) -> None:
    """Decode like a decoder, unless a picture says otherwise."""
    process.decode = obedient  # type: ignore[attr-defined, assignment]
    process._facts = told  # type: ignore[attr-defined]
    process.main(number, most_memory_bytes)


_facts = process._facts
_broken: list[str] = []


def told(picture: Picture) -> dict[str, Any]:
    """Tell what is so, or not."""
    facts = _facts(picture)
    return {**facts, "dpi": [float("1e308") * 10, 1]} if "lie" in _broken else facts


def obedient(data: bytes, **keywords: Any) -> Picture:
    """Decode ``data``, and do what is written in it."""
    found = WORDS.search(data)
    if "poisoned" in _broken:
        os.abort()
    if found is not None:
        DEEDS[found[1].decode()](data, keywords)
    return decode(data, **keywords)


def _take_memory(*_: object) -> None:
    held = []
    while True:
        held.append(bytearray(1 << 24))


def _spin(*_: object) -> None:
    while True:
        pass


def _open_file(*_: object) -> None:
    with open("/etc/passwd", "rb") as file:  # noqa: PTH123
        file.read()
    sys.exit(77)


def _make_file(*_: object) -> None:
    with open("/tmp/deepdream-must-not-be", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    sys.exit(77)


def _connect(*_: object) -> None:
    with socket.socket() as lane:
        lane.connect(("127.0.0.1", 9))


def _say(words: bytes) -> None:
    os.write(_lane(), words)
    time.sleep(30)


def _lane() -> int:
    return int(sys.argv[-2])


def _ask_for_too_much(*_: object) -> None:
    with socket.socket(fileno=os.dup(_lane())) as lane:
        wire.send(lane, {"allocate": [3, 1 << 20, 1 << 20]})
    time.sleep(30)


def _shrink(data: bytes, keywords: dict[str, Any]) -> None:
    given = keywords["allocate"]

    def allocate(height: int, width: int, *, has_alpha: bool) -> Any:
        planes, alpha = given(height, width, has_alpha=has_alpha)
        for number in range(3, 32):
            try:
                os.ftruncate(number, 0)
            except OSError:
                continue
            raise SystemExit(77)  # it could
        return planes, alpha

    keywords["allocate"] = allocate


def _complain(*_: object) -> None:
    for _ in range(2000):
        with contextlib.suppress(BlockingIOError):  # as a library in C would
            os.write(2, b"TIFFReadDirectory: a warning\n" * 30)


DEEDS: dict[str, Any] = {
    "segfault": lambda *_: ctypes.string_at(0),
    "abort": lambda *_: os.abort(),
    "leave": lambda *_: os._exit(3),
    "hang": lambda *_: time.sleep(60),
    "spin": _spin,
    "memory": _take_memory,
    "killed": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
    "read": _open_file,
    "write": _make_file,
    "connect": _connect,
    "nonsense": lambda *_: _say(b"\0\0\0\4nope"),
    "flood": lambda *_: _say(b"\xff\xff\xff\xff"),
    "greedy": _ask_for_too_much,
    "shrink": _shrink,
    "complain": _complain,
    "poison": lambda *_: _broken.append("poisoned"),
    "lie": lambda *_: _broken.append("lie"),
}
