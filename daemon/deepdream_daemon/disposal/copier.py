"""Copying one file that is no picture: it becomes visible like a dream, whole, durable, announced before, under a name
that nothing had.

No time limit holds for it: it ends with the bytes that the file had when it was opened, or when the daemon does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal.looking import opened, read_through
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.selection import copy_key, output_directory
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing.names import name_taken
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.publishing.publish import Staged, file_mode, make_directory, reveal
from deepdream_daemon.publishing.recovery import announcement
from deepdream_daemon.publishing.space import check_floor
from deepdream_daemon.publishing.streaming import stage_stream


class Stopped(Exception):
    """The daemon stops in the middle of a file."""


class Needless(Exception):
    """No copy is wanted of the file as it is now: it says why."""

    def __init__(self, why: str, fingerprint: str) -> None:
        super().__init__(why)
        self.fingerprint = fingerprint


@dataclass(eq=False)
class Attempt:
    """A claimed file on its way into the output of its folder; ``staged`` is its temp file, once there is one.
    ``on_progress`` is called whenever some of it was read."""

    claim: Claim
    folder: FolderSettings
    on_progress: Callable[[], None]
    staged: Staged | None = None

    @property
    def directory(self) -> Path:
        """Where in the output it goes."""
        return output_directory(self.folder, self.claim.source)


class Copier:
    """Copies a file; safe to use from any thread. Ends early once ``stop`` is set."""

    def __init__(self, settings: Settings, journal: Journal, stop: threading.Event, token: str) -> None:
        self._floor_gib = settings.min_free_gib
        self._journal = journal
        self._stop = stop
        self._token = token

    def copy(self, attempt: Attempt) -> Path:
        """Publish a copy and return where it is.

        Raises :class:`Needless`, :class:`Stopped`, ``CalledOff``, ``Changed`` or ``Replaced``, ``BadOption`` for a
        link in the output, an ``OSError``; whatever it is, the temp file is left to the caller.
        """
        claim, folder, directory = attempt.claim, attempt.folder, attempt.directory
        hit("copy.claimed")
        if not folder.copy_through:
            raise sources.Changed("its folder copies nothing any more")
        fingerprint = sources.fingerprint(claim.source)
        if copy_key(claim.source, fingerprint) != claim.key:  # it may be half written
            raise sources.Changed("it changed since it was queued")
        self._check_needed(attempt, fingerprint)
        with opened(claim.source, folder.input) as file:
            status = os.fstat(file.fileno())
            check_place(self._journal, folder.output)
            check_floor(folder.output, self._floor_gib, status.st_size)
            make_directory(folder.output, directory)

            def parts(write: Callable[[bytes], object]) -> None:
                def each(chunk: bytes) -> None:
                    self._go_on(attempt)
                    write(chunk)

                read_through(file, claim.source, each)

            mode, mtime_ns = file_mode(folder.mode), status.st_mtime_ns
            attempt.staged = stage_stream(folder.output, directory, parts, self._token, mode=mode, mtime_ns=mtime_ns)
        hit("copy.staged")
        if sources.fingerprint(claim.source) != fingerprint:
            raise sources.Changed("it changed while it was copied")
        return self._publish(attempt, attempt.staged, fingerprint)

    def _check_needed(self, attempt: Attempt, fingerprint: str) -> None:
        claim, folder = attempt.claim, attempt.folder
        earlier = {sha256: path for sha256, path in self._journal.copies_of(claim.source) if path.exists()}
        if earlier:
            with opened(claim.source, folder.input) as file:
                sha256 = read_through(file, claim.source, lambda _: self._go_on(attempt)).sha256
            if (copy := earlier.get(sha256)) is not None:
                raise Needless(f"it was copied already, to {os.fspath(copy)!r}", fingerprint)
        target = attempt.directory / claim.source.name
        if folder.collision == "skip" and os.path.lexists(target):
            raise Needless(name_taken(target), fingerprint)

    def _go_on(self, attempt: Attempt) -> None:
        if self._stop.is_set():
            raise Stopped
        attempt.on_progress()

    def _publish(self, attempt: Attempt, staged: Staged, fingerprint: str) -> Path:
        job, name = attempt.claim.id, attempt.claim.source.name

        def announce(target: Path) -> bool:
            if target.name != name and attempt.folder.collision == "skip":  # somebody has just taken the name
                self._journal.renounce(job, "its name was taken meanwhile")
                raise Needless(name_taken(target.with_name(name)), fingerprint)
            check_place(self._journal, attempt.folder.output, used=True)
            return self._journal.announce(announcement(job, staged, target))

        target = reveal(staged, name, announce)
        hit("copy.published")
        self._journal.finish(job, None)
        hit("copy.done")
        return target
