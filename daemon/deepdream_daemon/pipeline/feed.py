"""What the engine is fed with: prepared pictures that wait, and the feed that hands them out one by one.

The engine asks its feed whenever it has room for a picture, so what is being dreamt is refilled all the time. A
picture has *begun* from the moment that it is handed out; until then it can be taken back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from deepdream_daemon.pipeline.rendering import Prepared

MOST_FILMS = 4
"""At a device at once: each keeps frames in memory, and processes that read and write it."""


class Item(Protocol):
    """A picture on its way; ``order`` is its age, the smallest being the oldest. A film ``gives_way`` when it is to end
    its slice at the next chance; a picture that ``wants_preview`` is shown after its first octave."""

    prepared: Prepared | None
    fraction: float
    is_film: bool
    gives_way: bool
    wants_preview: bool

    @property
    def order(self) -> int: ...


I = TypeVar("I", bound=Item)  # noqa: E741


class Waiting(Generic[I]):
    """Prepared pictures that no device has begun. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[I] = []

    def add(self, item: I) -> None:
        """Let a prepared picture wait."""
        with self._lock:
            self._items.append(item)

    def of_oldest(self) -> list[I]:
        """Return, the oldest first, the pictures that may share passes with the oldest that waits."""
        with self._lock:
            oldest = min(self._items, key=_order, default=None)
            return [] if oldest is None else sorted(self._matching(_key(oldest)), key=_order)

    def take(self, key: Hashable, *, films: int = 0) -> tuple[I | None, bool]:
        """Take the oldest picture with this key, or film; tell also whether that passed over an older one. With so many
        ``films`` in flight, the key does not matter, and no more than :data:`MOST_FILMS` are taken."""
        with self._lock:
            items = [item for item in self._items if films < MOST_FILMS or not item.is_film]
            fitting = items if films else [item for item in items if item.is_film or _key(item) == key]
            chosen = min(fitting, key=_order, default=None)
            if chosen is None:
                return None, False
            self._items.remove(chosen)
            return chosen, any(other.order < chosen.order for other in items)

    def take_back(self, wanted: Callable[[I], object]) -> list[I]:
        """Take those ``wanted``, which then will not be begun."""
        with self._lock:
            taken = [item for item in self._items if wanted(item)]
            self._items = [item for item in self._items if item not in taken]
            return taken

    def __len__(self) -> int:
        return len(self._items)

    def _matching(self, key: Hashable) -> list[I]:
        return [item for item in self._items if _key(item) == key]


class Feed(Iterator[Prepared | None], Generic[I]):
    """The pictures of one run of a device: those given as ``first``, or all that wait under ``key``, the oldest first.

    Films go with all pictures: none waits for a film to end, since that takes long.
    At most ``limit`` are in flight at once. It ends when nothing is in flight and nothing waits, or when ``limit``
    pictures have been preferred to older ones with another key, whose turn it is then. Until then ``None`` says that
    nothing waits at the moment.
    """

    def __init__(
        self,
        waiting: Waiting[I],
        key: Hashable,
        limit: int,
        *,
        first: Sequence[I] | None = None,
        on_begun: Callable[[I], None] = lambda _: None,
        on_preview: Callable[[I, Any], None] = lambda _item, _rendered: None,
    ) -> None:
        self._waiting = waiting
        self._key = key
        self._limit = limit
        self._first = None if first is None else list(first)
        self._on_begun = on_begun
        self._on_preview = on_preview
        self._flying: dict[int, I] = {}
        self._count = 0
        self._passed_over = 0
        self._is_over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Prepared | None:
        if self._is_over:
            raise StopIteration
        if len(self._flying) >= self._limit:
            return None
        item = self._next()
        if item is None:
            if self._flying and self._first is None and not self._is_over:
                return None
            self._is_over = True
            raise StopIteration
        assert item.prepared is not None  # prepared is what waits here
        self._flying[self._count] = item
        self._count += 1
        self._on_begun(item)
        return item.prepared

    @property
    def has_begun(self) -> bool:
        """Whether any picture was handed out."""
        return self._count > 0

    def progress(self, index: int, fraction: float) -> I | None:
        """Note how much of a picture is done, in [0, 1], and return which it is."""
        item = self._flying.get(index)
        if item is not None:
            item.fraction = fraction
        return item

    def gives_way(self, index: int) -> bool:
        """Tell whether a film shall end its slice."""
        item = self._flying.get(index)
        return item is None or item.gives_way

    def wants_preview(self, index: int) -> bool:
        """Tell whether a picture is to be shown after its first octave."""
        item = self._flying.get(index)
        return item is not None and item.wants_preview

    def take_preview(self, index: int, rendered: Any) -> None:
        """Hand on what a picture is after its first octave."""
        item = self._flying.get(index)
        if item is not None and item.wants_preview:
            item.wants_preview = False
            self._on_preview(item, rendered)

    def back(self, index: int) -> I:
        """Return whose outcome has come back."""
        return self._flying.pop(index)

    def flying(self) -> list[I]:
        """Return those that were handed out and did not come back. Safe to use from any thread."""
        return list(self._flying.copy().values())

    def unbegun(self) -> list[I]:
        """Return, after the run, those that were meant for it alone and not handed out."""
        return list(self._first or ())

    def _next(self) -> I | None:
        if self._first is not None:
            return self._first.pop(0) if self._first else None
        if self._passed_over >= self._limit:
            self._is_over = True
            return None
        films = sum(item.is_film for item in self._flying.values())
        item, passed_over = self._waiting.take(self._key, films=films)
        self._passed_over += passed_over
        return item


def _order(item: Item) -> int:
    return item.order


def _key(item: Item) -> Hashable:
    return None if item.prepared is None else item.prepared.batch_key
