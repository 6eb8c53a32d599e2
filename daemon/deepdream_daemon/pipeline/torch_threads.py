"""How many cores torch uses in which thread.

Each thread that computes with torch has compute threads of its own: filters in four threads beside the engine would
have five times as many as there are cores. Torch's number of threads holds for the thread that sets it, and becomes the
default of all that have not asked for theirs yet, even if they have set it; so each asks at once.
"""

from __future__ import annotations

import threading
from functools import cache

_lock = threading.Lock()


class TorchThreads:
    """Gives the threads that dream all cores (or the configured number), and every other thread one."""

    def __init__(self, wanted: int | None) -> None:
        self._wanted = wanted

    @property
    def number(self) -> int:
        """With how many the engine computes."""
        with _lock:
            return self._wanted or _default()

    def dream(self) -> None:
        """Let this thread compute with all of them."""
        _use(self.number)

    def stand_back(self) -> None:
        """Let this thread compute by itself, beside those that dream."""
        if self.number:  # settled before the default becomes one
            _use(1)


@cache
def _default() -> int:
    """Torch's own choice, asked for before anyone has set another."""
    import torch

    return torch.get_num_threads()


def _use(number: int) -> None:
    import torch

    with _lock:
        torch.set_num_threads(number)
        torch.get_num_threads()
