"""What the running daemon notes for other processes to tell, and for itself when it is started again."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdream_daemon.journal.store import JournalStore

_BUSY, _TROUBLES, _PAUSES, _SINKS = "busy_share", "troubles", "pauses", "sinks"
_RELOAD, _WORKER, _UNRECORDED = "reload_error", "worker", "unrecorded"


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Why nothing is brought to a sink; with ``until`` (unix time) it is asked again then, because it did not work."""

    reason: str = ""
    until: float = 0.0

    def __str__(self) -> str:
        if self.until > time.time():
            return f"the sink pauses until {time.strftime('%H:%M:%S', time.localtime(self.until))}"
        return self.reason


@dataclass(frozen=True, kw_only=True)
class KnownSink:
    """A sink of a watched folder as the daemon met it last: ``name`` is the journal's for the entry that names
    ``sink`` with the options ``written`` (a digest)."""

    name: str
    sink: str
    written: str


@dataclass(frozen=True, kw_only=True)
class Unrecorded:
    """Records that the quarantine may lack: of jobs that have failed ``since`` then, with the reason ``why`` they could
    not be written (empty if nothing is known of any), and when that was ``noted`` last; both are unix times."""

    since: float
    why: str
    noted: float


class NoteSide(JournalStore):
    """Notes of the daemon. Those on what is so now are true while it runs; it clears them when it starts."""

    def note_disabled(self, plugins: Mapping[str, str]) -> None:
        """Note which plugins the running daemon has disabled, and why."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM disabled_plugins")
            for name, reason in plugins.items():
                connection.execute("INSERT INTO disabled_plugins VALUES (?, ?, ?)", (name, reason, time.time()))

    def disabled_plugins(self) -> dict[str, str]:
        """Return the plugins that the daemon has disabled since it started, each with its reason."""
        rows = self._rows("SELECT name, reason FROM disabled_plugins ORDER BY since, name")
        return {name: reason for name, reason in rows}  # noqa: C416  (rows are no pairs to mypy)

    def note_busy(self, share: float | None) -> None:
        """Note the share of the time with work, in [0, 1], in which the running daemon's devices dreamt."""
        self._set(_BUSY, None if share is None else round(share, 3))

    def busy_share(self) -> float | None:
        """Return what was noted last, if anything was since the daemon started."""
        found = self._get(_BUSY)
        return None if found is None else float(found)

    def note_troubles(self, troubles: Mapping[str, str]) -> None:
        """Note what keeps the daemon from some of its work that only its own process knows, each with what to do."""
        self._set(_TROUBLES, dict(troubles) or None)

    def noted_troubles(self) -> dict[str, str]:
        """Return what was noted last."""
        return dict(self._get(_TROUBLES) or {})

    def note_reload_error(self, error: str | None) -> None:
        """Note what is wrong with the configuration that should have been taken up; ``None`` once one is in force."""
        if error != self.reload_error():
            self._set(_RELOAD, error)

    def reload_error(self) -> str | None:
        """Return what was noted last, if the daemon goes on with an older configuration."""
        found = self._get(_RELOAD)
        return None if found is None else str(found)

    def note_worker(self, restarts: int, last_death: str | None) -> None:
        """Note how often the worker was started anew since the daemon was, and why it was the last time."""
        if (restarts, last_death) != self.worker_note():
            self._set(_WORKER, [restarts, last_death] if restarts or last_death else None)

    def worker_note(self) -> tuple[int, str | None]:
        """Return what was noted last."""
        restarts, last_death = self._get(_WORKER) or (0, None)
        return restarts, last_death

    def note_unrecorded(self, missing: Unrecorded | None, instead_of: Unrecorded | None) -> None:
        """Note which records may be missing, unless something else was noted meanwhile than ``instead_of``. It holds
        over restarts."""
        with self._transaction() as connection:
            if self.unrecorded() == instead_of:
                _put(connection, _UNRECORDED, missing and [missing.since, missing.why, missing.noted])

    def unrecorded(self) -> Unrecorded | None:
        """Return what was noted last."""
        found = self._get(_UNRECORDED)
        return None if found is None else Unrecorded(since=found[0], why=found[1], noted=found[2])

    def note_pauses(self, pauses: Mapping[tuple[Path, str], Pause]) -> None:
        """Note which sinks get nothing at the moment, by watched folder and name."""
        rows = [[str(folder), name, each.reason, each.until] for (folder, name), each in pauses.items()]
        self._set(_PAUSES, rows or None)

    def pauses(self) -> dict[tuple[Path, str], Pause]:
        """Return what was noted last."""
        rows = self._get(_PAUSES) or []
        return {(Path(folder), name): Pause(reason=reason, until=until) for folder, name, reason, until in rows}

    def note_sinks(self, sinks: Mapping[Path, Iterable[KnownSink]]) -> None:
        """Remember the sinks of all watched folders until the next start."""
        self._set(_SINKS, [[str(path), s.name, s.sink, s.written] for path, each in sinks.items() for s in each])

    def known_sinks(self) -> dict[Path, tuple[KnownSink, ...]]:
        """Return the sinks of the last time, in their order then."""
        found: dict[Path, tuple[KnownSink, ...]] = {}
        for folder, name, sink, written in self._get(_SINKS) or []:
            known = KnownSink(name=name, sink=sink, written=written)
            found[Path(folder)] = (*found.get(Path(folder), ()), known)
        return found

    def _get(self, name: str) -> Any:
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else None

    def _set(self, name: str, value: object) -> None:
        with self._transaction() as connection:
            _put(connection, name, value)


def expect_records(connection: sqlite3.Connection) -> float:
    """Note, with jobs that fail, that their records may be missing: they are written after. Return when (unix time)
    that was noted."""
    now = time.time()
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_UNRECORDED,)).fetchone()
    since, why, _ = json.loads(row[0]) if row else (now, "", now)
    _put(connection, _UNRECORDED, [min(since, now), why, now])
    return now


def _put(connection: sqlite3.Connection, name: str, value: object) -> None:
    connection.execute("DELETE FROM meta WHERE name = ?", (name,))
    if value is not None:  # JSON is ASCII, whatever bytes are in a path
        connection.execute("INSERT INTO meta VALUES (?, ?)", (name, json.dumps(value)))
