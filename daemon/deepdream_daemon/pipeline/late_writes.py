"""Changes of the journal that cannot be written at the moment, because its disk is full or it is locked."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable

import structlog

from deepdream_daemon.pipeline.backoff import explain_error

log = structlog.get_logger("deepdream")

Change = Callable[[], None]


class LateWrites:
    """Makes each change now or, when that fails in a way that passes, later, in the same order."""

    def __init__(self) -> None:
        self._left: deque[Change] = deque()

    def __len__(self) -> int:
        return len(self._left)

    def write(self, change: Change) -> None:
        """Make a change now, if possible; what raises for another reason is given up."""
        try:
            change()
        except (sqlite3.OperationalError, OSError) as error:
            log.exception("the journal could not be written", error=str(error))
            self._left.append(change)
        except Exception as error:
            log.exception("a change of the journal is given up", error=explain_error(error))

    def retry(self) -> None:
        """Try once more to make what could not be made."""
        for _ in range(len(self._left)):
            self.write(self._left.popleft())
