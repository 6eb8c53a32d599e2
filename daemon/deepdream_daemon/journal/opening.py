"""Opening the journal's file. It appears whole or not at all, is brought up to date in one transaction, and is left
byte for byte as it is when it is damaged, of a newer version, or none of ours.

So it is looked into by a connection that may not write, before one is made that may: the very closing of the latter
would carry the write-ahead log over.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import sqlite3
import stat
import time
import urllib.parse
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import Timeout

from deepdream_daemon.journal.schema import SCHEMA_VERSION, steps_from
from deepdream_engine.errors import DeepDreamError

BUSY_SECONDS = 10.0
LARGEST_CHECKED_BYTES = 256 << 20
"""Some 200,000 jobs. SQLite cannot be interrupted while it follows the pages of a table, and a start must not take
long; what is wrong with a larger file is found when it is met."""
_BEGIN_ANEW = (
    "Restore it from a backup, or move it and the files of the same name with -wal and -shm away to begin anew (all "
    "pictures will be dreamt again)."
)
_WRITABLE = "Make its folder writable for the daemon's user, or set another [daemon] state folder, on a local disk."
_ADVICE = {
    "SQLITE_FULL": "Free some space on its disk.",
    "SQLITE_READONLY": _WRITABLE,
    "SQLITE_CANTOPEN": _WRITABLE,
    "SQLITE_PERM": _WRITABLE,
    "SQLITE_BUSY": "Another program keeps it locked; wait for it, or end it.",
    "SQLITE_LOCKED": "Another program keeps it locked; wait for it, or end it.",
    "SQLITE_IOERR": "Look at its disk.",
}
"""What to do, by the beginning of the name of SQLite's error; with any other, the file is damaged."""
_NAMES = re.compile(r"CREATE\s+(?:TABLE|INDEX|TRIGGER)\s+(?:temp\.)?(\w+)")


class JournalRefused(DeepDreamError):
    """The journal's file cannot be used as it is, and was left so."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(
            f"The journal {os.fspath(path)!r} cannot be used: {reason.rstrip('.')}. It was left as it is. {advice}"
        )


class Connection(sqlite3.Connection):
    """Writes any text. Messages quote file names, which may hold bytes that are no text: SQLite takes no lone
    surrogates, so here, where nothing gets past, they are escaped.
    """

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> sqlite3.Cursor:  # type: ignore[override]
        return super().execute(sql, [escaped(value) if isinstance(value, str) else value for value in values])


def escaped(text: str) -> str:
    """Return ``text`` with what is no text in it escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def open_to_write(path: Path, *, check_seconds: float) -> sqlite3.Connection:
    """Open the journal at ``path``, made if there is none; at most ``check_seconds`` are spent on reading through it.

    One process at a time: turning WAL on does not wait for others that do the same.
    """
    if is_there(path):
        with contextlib.closing(connect(path, "ro")) as looking:
            _inspect(looking, path, check_seconds)
    else:
        _make(path)
    connection = connect(path, "rw")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = _version(connection)
        return connection if version == SCHEMA_VERSION else _run(connection, steps_from(version))
    except BaseException:
        connection.close()
        raise


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open the journal at ``path`` without changing it; without one, an empty one in memory."""
    if not is_there(path):
        nothing = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=Connection)
        return _create(nothing)
    try:
        return _look_into(path, "ro")
    except sqlite3.OperationalError as error:
        if not _may_be_immutable(path, error):
            raise
        return _look_into(path, "ro&immutable=1")


def _look_into(path: Path, mode: str) -> sqlite3.Connection:
    connection = connect(path, mode)
    try:
        version = _inspect(connection, path, 0.0)
        connection.executescript(steps_from(version, in_memory=True))  # the file is left as it is
    except BaseException:
        connection.close()
        raise
    return connection


def refusal(path: Path, error: Exception) -> DeepDreamError:
    """Return what an error of SQLite, of its lock or of the operating system means for the user."""
    if isinstance(error, Timeout):
        return JournalRefused(path, "it is locked", _ADVICE["SQLITE_BUSY"])
    if isinstance(error, OSError):
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        reason = error.strerror or str(error)
        return JournalRefused(path, reason, _ADVICE["SQLITE_FULL"] if full else _WRITABLE)
    name = str(getattr(error, "sqlite_errorname", ""))
    advice = next((advice for start, advice in _ADVICE.items() if name.startswith(start)), _BEGIN_ANEW)
    return JournalRefused(path, str(error), advice)


def is_there(path: Path) -> bool:
    """Look whether there is a file that may be a journal; anything else in its place is refused, and so is whoever may
    not look."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        log = path.with_name(f"{path.name}-wal")
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size:  # SQLite would take it for that of a new journal
                if path.exists():  # a daemon has made both meanwhile
                    return is_there(path)
                reason = f"it is gone, but its write-ahead log {os.fspath(log)!r} is there"
                advice = f"Put it back, or move {log.name} away, too, to begin anew."
                raise JournalRefused(path, reason, advice) from None
        return False
    except PermissionError as error:
        raise _private(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, a FIFO or a socket"
        raise JournalRefused(path, f"it is {kind}", "Move it away, or set another [daemon] state folder.")
    if status.st_size == 0:
        raise JournalRefused(path, "it is empty, so it was cut off", _BEGIN_ANEW)
    if not os.access(path, os.R_OK):
        raise _private(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return True


def _private(path: Path, error: OSError) -> DeepDreamError:
    """The state folder is its owner's alone; say whose it is, as far as that can be seen."""
    said = f"The journal {os.fspath(path)!r} cannot be read: {error.strerror}."
    for place in (path, *path.parents):
        with contextlib.suppress(OSError, KeyError):
            owner = pwd.getpwuid(place.stat().st_uid).pw_name
            return DeepDreamError(f"{said} It belongs to {owner}; ask as that user: sudo -u {owner} deepdream …")
    return DeepDreamError(f"{said} Ask as the user that the daemon runs as.")


def _may_be_immutable(path: Path, error: sqlite3.OperationalError) -> bool:
    """Tell whether it failed for want of SQLite's shared memory on a disk that cannot be written to, though nobody
    can have the journal open, since it has no log."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if not name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or os.access(path.parent, os.W_OK):
        return False
    return not path.with_name(f"{path.name}-wal").exists()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file as SQLite does, whatever is in it; ``mode`` is as in its URIs."""
    uri = f"file:{urllib.parse.quote(os.fsencode(path))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=Connection
    )
    connection.row_factory = sqlite3.Row
    return connection


def _make(path: Path) -> None:
    """Make an empty journal beside its place and move it there, so that one that was cut off is always known."""
    temp = path.with_name(f".{path.name}.new")
    for ending in ("", "-journal", "-wal", "-shm"):
        temp.with_name(f"{temp.name}{ending}").unlink(missing_ok=True)
        if ending in {"-wal", "-shm"}:
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)  # an empty log of one that is gone
    with contextlib.closing(connect(temp, "rwc")) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        _create(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    temp.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _create(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    return _run(connection, f"{steps_from(0)} INSERT INTO meta VALUES ('instance', '{uuid.uuid4().hex[:8]}');")


def _run(connection: sqlite3.Connection, statements: str) -> sqlite3.Connection:
    """Run the statements that make this version's tables: all of them or none, also if the power fails."""
    connection.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    return connection


def _inspect(connection: sqlite3.Connection, path: Path, check_seconds: float) -> int:
    """Return the version of a journal that can be used."""
    version = _version(connection)
    found = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
    if version > SCHEMA_VERSION:
        raise JournalRefused(
            path,
            f"it has version {version}; this program reads versions 1 to {SCHEMA_VERSION}",
            "Use the program that made it, or set another [daemon] state folder.",
        )
    if version < 1:
        if not found:
            raise JournalRefused(path, "it is empty, so it was cut off", _BEGIN_ANEW)
        advice = "Move it away, or set another [daemon] state folder."
        raise JournalRefused(path, "it is another program's database", advice)
    needed = set(_NAMES.findall(steps_from(0))) - set(_NAMES.findall(steps_from(version)))
    if missing := sorted(needed - found):
        raise JournalRefused(path, f"it lacks {', '.join(missing)}", _BEGIN_ANEW)
    if check_seconds:
        _read_through(connection, path, check_seconds)
    return version


def _read_through(connection: sqlite3.Connection, path: Path, seconds: float) -> None:
    """Look at as much as the time allows: a daemon that is started waits for this."""
    if path.stat().st_size > LARGEST_CHECKED_BYTES:
        return
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_INTERRUPT":
            raise
        return  # as far as was looked, it is whole
    finally:
        connection.set_progress_handler(None, 0)
    if found != "ok":
        raise JournalRefused(path, f"it is damaged: {' '.join(found.split())}", _BEGIN_ANEW)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
