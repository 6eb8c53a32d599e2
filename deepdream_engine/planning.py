"""Which windows share a pass: those of one program and one shape, from whichever pictures are waiting.

The fullest pass goes first. So pictures that have fallen out of step with all others wait a little and fall in with
those that come after them, as requests do in an inference server with continuous batching. But none waits for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


PATIENCE = 32
"""An item that so many passes have overtaken goes next, however empty its pass is."""


class Waiting(Generic[Key, Item]):
    """Items that wait for a pass, in lines by what they must have in common; ``room(key)`` is a pass's size."""

    def __init__(self, room: Callable[[Key], int]) -> None:
        self._room = room
        self._lines: dict[Key, deque[tuple[int, int, Item]]] = {}
        self._count = 0
        self._passes = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, key: Key, item: Item) -> None:
        """Queue ``item`` behind those of its key."""
        self._count += 1
        self._lines.setdefault(key, deque()).append((self._count, self._passes, item))

    def next_pass(self) -> list[Item]:
        """Take the items of the fullest pass; of equally full ones, that with the oldest item. There must be some."""

        def urgency(key: Key) -> tuple[bool, float, int]:
            line = self._lines[key]
            number, since, _ = line[0]
            return self._passes - since < PATIENCE, -min(1.0, len(line) / self._room(key)), number

        key = min(self._lines, key=urgency)
        line = self._lines[key]
        self._passes += 1
        taken = [line.popleft()[2] for _ in range(min(len(line), self._room(key)))]
        if not line:
            del self._lines[key]
        return taken

    def drop(self, unwanted: Callable[[Item], bool]) -> None:
        """Forget items that nobody waits for any more."""
        for key, line in list(self._lines.items()):
            kept = deque(entry for entry in line if not unwanted(entry[2]))
            if kept:
                self._lines[key] = kept
            else:
                del self._lines[key]
