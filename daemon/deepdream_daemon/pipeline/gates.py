"""Output directories that cannot be written to at the moment: nothing is dreamt for them until a probe succeeds.

A gate is for one directory of a watched folder's output. One on the output folder itself holds up everything
of that watched folder; any other, only the pictures whose dreams go into just that directory.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing.places import OtherPlace

log = structlog.get_logger("deepdream")

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
LONGEST_AWAY_SECONDS = 10.0
REMEMBERED_SECONDS = 600.0
"""A gate that closes again within this time of its opening goes on with its delay, doubled: its probes promise
what publishing does not keep, and every promise costs a dream."""
ASIDE_SECONDS = 300.0
"""How long jobs of a single directory are not claimed, unless a probe succeeds before."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_AWAY = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EHOSTDOWN, errno.ESTALE}
_BLOCKING = _FULL | _FORBIDDEN | _AWAY | {errno.EIO, errno.ETIMEDOUT}


class OutputUnavailable(Exception):
    """A finished dream cannot be published: the trouble is with the output directory, not with the job."""

    def __init__(self, directory: Path, size_bytes: int, error: OSError) -> None:
        name = repr(os.fspath(directory))
        trouble = "is not used" if isinstance(error, OtherPlace) else "cannot be written to"
        super().__init__(f"the output folder {name} {trouble}: {error.strerror or error}")
        self.directory = directory
        self.size_bytes = size_bytes
        self.is_away = error.errno in _AWAY
        self.is_full = error.errno in _FULL
        if isinstance(error, OtherPlace):
            self.advice = error.advice
        else:
            self.advice = f"{_remedy(name, error.errno)}{getattr(error, 'or_else', '')}; it goes on by itself."

    @property
    def longest_seconds(self) -> float:
        """How long the next probe is put off at most: that a folder is away is seen without writing anything."""
        return LONGEST_AWAY_SECONDS if self.is_away else LONGEST_SECONDS


def _remedy(name: str, number: int | None) -> str:
    if number in _FULL:
        return f"Free some space on the disk of {name}"
    if number in _FORBIDDEN:
        return f"Make {name} writable for the daemon's user (chmod, chown, or mount it read-write)"
    if number in _AWAY:
        return f"Mount or create {name}"
    return f"Look at the disk of {name}"


def blocks_output(error: OSError) -> bool:
    """Tell whether an error while publishing would meet every other output of the directory too."""
    return error.errno in _BLOCKING


def is_full(error: OSError | OutputUnavailable) -> bool:
    """Tell whether there is too little space for what is to be published."""
    return error.is_full if isinstance(error, OutputUnavailable) else error.errno in _FULL


@dataclass
class Gate:
    """A closed output directory, and what to probe it with."""

    folder: FolderSettings
    reason: OutputUnavailable
    delay_seconds: float = FIRST_SECONDS
    is_probing: bool = False
    probe_at: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.probe_at = time.monotonic() + self.delay_seconds


class Gates:
    """The closed gates, by input folder and output directory; the journal holds a copy for other processes.

    Used by the pipeline's thread alone. ``write`` changes the journal, later if it cannot be now.
    """

    def __init__(self, journal: Journal, write: Callable[[Callable[[], None]], None]) -> None:
        self._journal = journal
        self._write = write
        self._closed: dict[tuple[Path, Path], Gate] = {}
        self._opened: dict[tuple[Path, Path], tuple[float, float]] = {}  # when, and the delay that it had

    def close(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        """Dream nothing more for the directory until a probe succeeds."""
        key = (folder.input, reason.directory)
        if key in self._closed:
            return
        self._closed[key] = Gate(folder, reason, self._first_delay(key, reason))
        self._write(partial(self._hold, folder, reason))
        self.set_aside(folder, reason)
        # Told last: whoever reads it and asks the journal finds it there.
        log.warning("publishing pauses", reason=str(reason), advice=reason.advice)

    def open(self, folder: FolderSettings, directory: Path) -> None:
        """Dream for the directory again."""
        log.info("publishing goes on", folder=str(directory))
        key = (folder.input, directory)
        gate = self._closed.pop(key, None)
        if gate is not None:
            self._opened[key] = time.monotonic(), gate.delay_seconds
            self._write(partial(self._release, folder, gate.reason))

    def set_aside(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        """Have the queued jobs of one directory stand back, so that those of the others are claimed."""
        if reason.directory == folder.output:
            return  # nothing of the folder is claimed anyway
        self._write(partial(self._set_aside, folder, reason))

    # What is written, maybe later than it was decided: the gate may have moved meanwhile

    def _set_aside(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        if self.reason(folder, reason.directory) is not None:
            sources = folder.input / reason.directory.relative_to(folder.output)
            due = time.time() + ASIDE_SECONDS
            self._journal.set_aside(sources, due=due, error=str(reason), advice=reason.advice)

    def _hold(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        if self.reason(folder, reason.directory) is not None:
            self._journal.hold(folder.input, reason.directory, str(reason), reason.advice)

    def _release(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        if (folder.input, reason.directory) not in self._closed:
            self._journal.release(folder.input, reason.directory, str(reason))

    def _first_delay(self, key: tuple[Path, Path], reason: OutputUnavailable) -> float:
        opened_at, delay_seconds = self._opened.pop(key, (0.0, 0.0))
        if not delay_seconds or time.monotonic() - opened_at > REMEMBERED_SECONDS:
            return FIRST_SECONDS
        return min(delay_seconds * 2, reason.longest_seconds)

    def still_closed(self, folder: FolderSettings, directory: Path) -> None:
        """A probe failed: the next one comes later."""
        gate = self._closed[folder.input, directory]
        gate.is_probing = False
        gate.delay_seconds = min(gate.delay_seconds * 2, gate.reason.longest_seconds)
        gate.probe_at = time.monotonic() + gate.delay_seconds
        self._write(partial(self._hold, folder, gate.reason))  # those of a former configuration may have let go of it

    def let_go(self) -> None:
        """Others take over, and will find out for themselves what cannot be written to."""
        for gate in self._closed.values():
            self._write(partial(self._journal.release, gate.folder.input, gate.reason.directory, str(gate.reason)))
        self._closed.clear()

    def reason(self, folder: FolderSettings, directory: Path) -> OutputUnavailable | None:
        """Return what holds up dreams that go into ``directory``, if anything."""
        gate = self._closed.get((folder.input, folder.output)) or self._closed.get((folder.input, directory))
        return None if gate is None else gate.reason

    def to_probe(self) -> list[tuple[FolderSettings, OutputUnavailable]]:
        """Return the gates whose probe is due; each is under way until opened or still closed."""
        now = time.monotonic()
        due = [gate for gate in self._closed.values() if gate.probe_at <= now and not gate.is_probing]
        for gate in due:
            gate.is_probing = True
        return [(gate.folder, gate.reason) for gate in due]

    def reasons(self) -> list[str]:
        """Say what is wrong with each; may be called from any thread."""
        return list(dict.fromkeys(str(gate.reason) for gate in list(self._closed.values())))
