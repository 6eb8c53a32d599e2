"""Carrying the journal's write-ahead log over into its file, beside the work.

Left to itself SQLite does so in the middle of whichever change comes next, which then takes many times as long: a claim
among a million jobs takes milliseconds without it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import structlog

from deepdream_daemon.journal.opening import connect
from deepdream_daemon.journal.store import FILE_NAME, JournalStore

log = structlog.get_logger("deepdream")

LOOK_SECONDS = 5.0
ENOUGH_BYTES = 4 << 20
AT_LEAST_EVERY_PAGES = 16_000
"""A log that has grown to 64 MiB nevertheless is carried over by the change that comes next."""


class Checkpointing:
    """Looks after the log of ``journal``, over a connection of its own."""

    def __init__(self, journal: JournalStore) -> None:
        self._path = journal.state / FILE_NAME
        self._log = self._path.with_name(f"{FILE_NAME}-wal")
        journal.leave_log(AT_LEAST_EVERY_PAGES)

    def run(self, stop: threading.Event) -> None:
        """Carry over what there is until ``stop``; what fails is tried again, and is done at the end at the latest."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.tend()
            except (sqlite3.Error, OSError) as error:
                log.debug("the journal's log could not be carried over", error=str(error))

    def tend(self) -> bool:
        """Carry the log over if it is long enough; return whether it was."""
        if self._log.stat().st_size < ENOUGH_BYTES:
            return False
        with contextlib.closing(connect(self._path, "rw")) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # which waits for nobody, and nobody for it
        return True
