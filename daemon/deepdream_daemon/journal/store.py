"""The journal's file: one SQLite database, one connection with a lock, every change durable when it returns.

The journal is the only truth about jobs. The counts per state are kept by triggers in the same
transactions, so that asking for them costs the same with a million rows as with ten.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from deepdream_daemon.failpoints import hit
from deepdream_daemon.journal.opening import BUSY_SECONDS, escaped, is_there, open_to_read, open_to_write, refusal
from deepdream_daemon.private import make_private

FILE_NAME = "journal.sqlite3"
CHECK_SECONDS = 2.0
"""So long a journal is read through when the daemon starts, at most."""
NEVER = 1e12
"""``due`` of a job that waits for a file or a plugin, not for a time."""
LONGEST_NOTE = 160
"""Characters of a line of history; the whole text of the last error is in its job."""


class JournalStore:
    """The open database. Public operations are in the classes that build on this one."""

    def __init__(self, state: Path, connection: sqlite3.Connection) -> None:
        self.state = state
        self._connection = connection
        self._lock = threading.RLock()
        row = connection.execute("SELECT value FROM meta WHERE name = 'instance'").fetchone()
        self.instance: str = row[0] if row else ""
        self._forgotten_files = 0
        self.sinks: Mapping[Path, tuple[str, ...]] = {}
        """Where the dreams of each watched folder are delivered to; whoever finishes jobs sets it."""

    @classmethod
    def open(cls, state: Path, *, read_only: bool = False, check: bool = False) -> Self:
        """Open the journal in the folder ``state``; without one, a read-only journal is simply empty.

        Whoever relies on it for long has it read through first (``check``). One that cannot be used is refused by a
        :class:`~deepdream_engine.errors.DeepDreamError`.
        """
        path = state / FILE_NAME
        try:
            if read_only:
                return cls(state, open_to_read(path))
            is_there(path)  # first: the lock would only say that it cannot be made
            make_private(state)
            with FileLock(state / f"{FILE_NAME}.lock", timeout=BUSY_SECONDS):
                return cls(state, open_to_write(path, check_seconds=CHECK_SECONDS if check else 0.0))
        except (sqlite3.DatabaseError, Timeout, OSError) as error:
            raise refusal(path, error) from error

    @staticmethod
    def is_missing(state: Path) -> bool:
        """Tell whether there never was a journal in the folder ``state``, as far as can be seen: one that may not be
        looked at is refused by :meth:`open`."""
        try:
            os.lstat(state / FILE_NAME)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False

    def leave_log(self, pages: int) -> None:
        """Have no change carry the write-ahead log over before it has so many pages: somebody else does."""
        self._rows(f"PRAGMA wal_autocheckpoint = {pages}")

    def version(self) -> tuple[int, int]:
        """Return numbers that are others whenever another process has changed the journal since, or a file was
        forgotten here that may still be there."""
        with self._lock:
            return self._rows("PRAGMA data_version")[0][0], self._forgotten_files

    def close(self) -> None:
        """Close the database; everything committed is already on the disk."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and durable once it is over."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                hit("journal.before_commit")
                self._connection.execute("COMMIT")
                hit("journal.committed")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    @staticmethod
    def _note(connection: sqlite3.Connection, source: bytes, job: int | None, what: str) -> None:
        """Add a line to the history of a file; the same again only counts, so that days offline add none."""
        what = escaped(what)
        what = what if len(what) <= LONGEST_NOTE else f"{what[: LONGEST_NOTE - 1]}…"
        last = connection.execute(
            "SELECT id, job, what FROM history WHERE source = ? ORDER BY id DESC LIMIT 1", (source,)
        ).fetchone()
        if last is not None and (last["job"], last["what"]) == (job, what):
            connection.execute("UPDATE history SET at = ?, times = times + 1 WHERE id = ?", (time.time(), last["id"]))
            return
        connection.execute(
            "INSERT INTO history (source, job, at, what) VALUES (?, ?, ?, ?)",
            (source, job, time.time(), what),
        )
