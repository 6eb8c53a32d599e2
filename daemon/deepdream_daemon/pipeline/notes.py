"""What other processes shall know of the pipeline, noted in the journal when it changes: how busy the devices are,
what cannot be done, and which plugins are disabled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from deepdream_daemon.journal.journal import Journal

log = structlog.get_logger("deepdream")

BUSY_SECONDS = 10.0
"""How often it is told how busy the devices are, for ``deepdream status``."""


class Notes:
    """``write`` changes the journal, later if it cannot be now."""

    def __init__(self, journal: Journal, write: Callable[[Callable[[], None]], None]) -> None:
        self._journal = journal
        self._write = write
        self._busy_at = 0.0
        self._busy_share: float | None = None
        self._troubles: Mapping[str, str] = {}
        self._disabled: Mapping[str, str] = {}
        self.is_silent = False
        """Whether others are in force, and theirs is what is told."""

    def clear(self) -> None:
        """Nothing is known yet."""
        self._write(partial(self._journal.note_busy, None))
        self._write(partial(self._journal.note_disabled, {}))
        self._write(partial(self._journal.note_troubles, {}))

    def tell_busy(self, share: float | None) -> None:
        """Tell in which share of the time with work the devices dreamt, now and then."""
        now = time.monotonic()
        if now >= self._busy_at and share != self._busy_share and not self.is_silent:
            self._busy_at, self._busy_share = now + BUSY_SECONDS, share
            self._write(partial(self._journal.note_busy, share))

    def tell_troubles(self, troubles: Mapping[str, str]) -> None:
        """Tell what cannot be done, each with what to do about it."""
        if self.is_silent or troubles == self._troubles:
            return
        for trouble in troubles.keys() - self._troubles.keys():
            log.warning("not all can be done", reason=trouble)
        self._troubles = troubles
        self._write(partial(self._journal.note_troubles, troubles))

    def tell_disabled(self, disabled: Mapping[str, str]) -> bool:
        """Tell which plugins are disabled; return whether that is news."""
        for name in disabled.keys() - self._disabled.keys():
            log.error("a plugin is disabled", plugin=name, reason=disabled[name])
        if disabled == self._disabled:
            return False
        self._disabled = disabled
        if not self.is_silent:
            self._write(partial(self._journal.note_disabled, disabled))
        return True
