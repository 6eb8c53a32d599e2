"""The journal's file: one SQLite database, one connection with a lock, every change durable when it returns.

The journal is the only truth about jobs. The counts per state are kept by triggers in the same
transactions, so that asking for them costs the same with a million rows as with ten.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from deepdream_daemon.journal.schema import SCHEMA_VERSION, steps_from
from deepdream_engine.errors import DeepDreamError

FILE_NAME = "journal.sqlite3"
BUSY_SECONDS = 10.0
NEVER = 1e12
"""``due`` of a job that waits for a file or a plugin, not for a time."""
LONGEST_NOTE = 160
"""Characters of a line of history; the whole text of the last error is in its job."""


class _Connection(sqlite3.Connection):
    """Writes any text. Messages quote file names, which may hold bytes that are no text: SQLite takes no lone
    surrogates, so here, where nothing gets past, they are escaped.
    """

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> sqlite3.Cursor:  # type: ignore[override]
        return super().execute(sql, [_escaped(value) if isinstance(value, str) else value for value in values])


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class JournalStore:
    """The open database. Public operations are in the classes that build on this one."""

    def __init__(self, state: Path, connection: sqlite3.Connection) -> None:
        self.state = state
        self._connection = connection
        self._lock = threading.RLock()
        row = connection.execute("SELECT value FROM meta WHERE name = 'instance'").fetchone()
        self.instance: str = row[0] if row else ""
        self.sinks: Mapping[Path, tuple[str, ...]] = {}
        """Where the dreams of each watched folder are delivered to; whoever finishes jobs sets it."""

    @classmethod
    def open(cls, state: Path, *, read_only: bool = False) -> Self:
        """Open the journal in the folder ``state``; without one, a read-only journal is simply empty."""
        path = state / FILE_NAME
        try:
            if not read_only:
                state.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Turning WAL on does not wait for other connections that do the same, so they come one by one.
                with FileLock(state / f"{FILE_NAME}.lock", timeout=BUSY_SECONDS):
                    return cls(state, _prepare(_connect(path, "rwc"), path))
            connection = _connect(path, "ro") if path.exists() else None
            if connection is not None:
                if not _is_fresh(connection):
                    version = _version(_check(connection, path))
                    connection.executescript(steps_from(version, in_memory=True))  # the file is left as it is
                    return cls(state, connection)
                connection.close()
            nothing = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=_Connection)
            return cls(state, _create(nothing))
        except (sqlite3.DatabaseError, Timeout) as error:
            raise DeepDreamError(
                f"The journal {path} cannot be used: {error}. It was left as it is. "
                "Check the disk, or move the file away to begin anew (all pictures will be dreamt again)."
            ) from error

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
                self._connection.execute("COMMIT")
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
        what = _escaped(what)
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


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{urllib.parse.quote(os.fsencode(path))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return _create(connection) if _is_fresh(connection) else _bring_up_to_date(_check(connection, path))


def _create(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    return _run(connection, f"{steps_from(0)} INSERT INTO meta VALUES ('instance', '{uuid.uuid4().hex[:8]}');")


def _bring_up_to_date(connection: sqlite3.Connection) -> sqlite3.Connection:
    version = _version(connection)
    return connection if version == SCHEMA_VERSION else _run(connection, steps_from(version))


def _run(connection: sqlite3.Connection, statements: str) -> sqlite3.Connection:
    """Run the statements that make this version's tables: all of them or none, also if the power fails."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except BaseException:
        connection.close()  # which rolls back
        raise
    return connection


def _is_fresh(connection: sqlite3.Connection) -> bool:
    """Tell whether nobody has made the tables yet, though the file may be there."""
    return _version(connection) == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    version = _version(connection)
    if not 1 <= version <= SCHEMA_VERSION:
        connection.close()
        raise DeepDreamError(
            f"The journal {path} has version {version}; this program reads versions 1 to {SCHEMA_VERSION}. It was "
            "left as it is. Use the program that made it, or set another [daemon] state folder."
        )
    return connection
