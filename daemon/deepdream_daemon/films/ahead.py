"""An iterator that is some items ahead of whoever takes them, in a thread of its own, and keeps nobody waiting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
_LOOK_SECONDS = 0.1


class Ahead(Iterator[Item | None], Generic[Item]):
    """Yields ``items``, of which up to ``count`` are made before they are asked for, and ``None`` while the next is not
    made yet. What goes wrong with one is raised in its turn.

    ``on_made`` is told in the thread that makes them whenever there is something to ask for.
    """

    def __init__(self, items: Iterator[Item], count: int, on_made: Callable[[], None] = lambda: None) -> None:
        self._items = items
        self._on_made = on_made
        self._made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(count)
        self._is_closed = threading.Event()
        self._end: BaseException | None = None
        self._thread = threading.Thread(target=self._make, name="ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item | None:
        if self._end is None:
            try:
                item, self._end = self._made.get_nowait()
            except queue.Empty:
                return None
        if self._end is not None:
            raise self._end
        return item

    def close(self) -> None:
        """Make no more; what is made is closed by the thread that makes it, see :meth:`join`."""
        self._is_closed.set()
        self._end = self._end or StopIteration()

    def join(self) -> None:
        """Wait until what was closed is."""
        self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether all is made, or closed."""
        return not self._thread.is_alive()

    def _make(self) -> None:
        try:
            for item in self._items:
                self._put(item, None)
                del item  # it need not lie here while the next one is made
                if self._is_closed.is_set():
                    return
            self._put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001  (raised again by whoever takes it)
            self._put(None, error)
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()

    def _put(self, item: Item | None, error: BaseException | None) -> None:
        while not self._is_closed.is_set():
            try:
                self._made.put((item, error), timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            self._on_made()
            return
