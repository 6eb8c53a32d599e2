"""How much may be in memory at once: pictures ask for room before they are decoded, and give it back at the end."""

from __future__ import annotations

import threading
from collections import deque

from deepdream_engine.errors import Cancelled
from deepdream_engine.host_memory import total_bytes

BYTES_PER_PIXEL = 48
"""What a picture may take while it is dreamt: the photo, what the engine makes of it, and the dream."""
SHARE = 0.25
"""Of the machine's memory."""
LEAST_MEGAPIXELS, MOST_MEGAPIXELS = 32.0, 256.0


class Room:
    """Room for so many megapixels. A picture that is larger by itself comes when no other is there.

    Whoever asked first gets room first, so that a large picture is not passed over for ever.
    """

    def __init__(self, megapixels: float) -> None:
        self.megapixels = megapixels
        self._changed = threading.Condition()
        self._held = 0.0
        self._queue: deque[object] = deque()
        self._is_closed = False

    def take(self, megapixels: float) -> None:
        """Wait until there is room; raises ``Cancelled`` when there is no more point in waiting."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._is_closed or self._fits(ticket, megapixels))
                if self._is_closed:
                    raise Cancelled("no more pictures are taken in")
                self._held += megapixels
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def give(self, megapixels: float) -> None:
        """Give room back."""
        with self._changed:
            self._held -= megapixels
            self._changed.notify_all()

    def resize(self, before: float, after: float) -> None:
        """A pre-filter has made the picture larger or smaller."""
        self.give(before - after)

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _fits(self, ticket: object, megapixels: float) -> bool:
        is_alone = self._held < 1e-6  # sums of fractions need not come back to zero
        return self._queue[0] is ticket and (is_alone or self._held + megapixels <= self.megapixels)


def default_room() -> Room:
    """Return room for a share of the memory that this machine, or the container that it is, has."""
    megapixels = SHARE * total_bytes() / BYTES_PER_PIXEL / 1e6
    return Room(min(max(megapixels, LEAST_MEGAPIXELS), MOST_MEGAPIXELS))
