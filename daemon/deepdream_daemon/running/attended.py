"""What the daemon asks of a renderer that works in a process of its own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Attended(Protocol):
    """A renderer with a worker process that may die and is started again."""

    @property
    def beat(self) -> float:
        """When it last showed that it lives, by ``time.monotonic``."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        ...

    @property
    def last_death(self) -> str | None:
        """Why, the last time."""
        ...

    def check(self) -> bool:
        """Wait until it is ready, or was found not to start at the moment; tell whether it is ready. Raises
        ``BadOption`` if it will not before the configuration is corrected."""
        ...
