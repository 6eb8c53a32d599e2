"""An iterator that is some items ahead of whoever takes them, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")
_LOOK_SECONDS = 0.1


def ahead(items: Iterator[Item], count: int) -> Iterator[Item]:
    """Yield ``items``, of which up to ``count`` are made before they are asked for. What goes wrong with one is raised
    in its turn. To close it closes ``items``, in the thread that they are made in."""
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(count)
    is_over = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not is_over.is_set():
            try:
                made.put((item, error), timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in items:
                put(item, None)
                if is_over.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001  (raised again by whoever takes it)
            put(None, error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            assert item is not None  # an item or an error
            yield item
            del item  # it need not lie here while the next one is waited for
    finally:
        is_over.set()
        thread.join()
