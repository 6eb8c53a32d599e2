"""Copying through: what is no picture is published unchanged, so that the output of a folder is complete.

Each such file has a job like a picture's, which this claims instead of the pipeline, one after the other of a folder.
Whatever happens to one, its job does not stay claimed: what the journal cannot be told now it is told later, and first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal.copier import Attempt, Copier, Needless, Stopped
from deepdream_daemon.disposal.looking import Replaced
from deepdream_daemon.explaining.advice import retry_command
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.copies import CopyPause
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.pipeline.backoff import delay_seconds, explain_error, judge
from deepdream_daemon.pipeline.gates import OutputUnavailable
from deepdream_daemon.pipeline.late_writes import LateWrites
from deepdream_daemon.pipeline.undecided import Undecided
from deepdream_daemon.publishing import quarantine, records
from deepdream_daemon.publishing.publish import CalledOff, discard
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")


@dataclass(frozen=True)
class _Rest:
    """Until when, by the monotonic clock, nothing is copied from a folder, after so many misses in a row."""

    until: float
    misses: int
    told: CopyPause


class Copying:
    """Copies what the journal has for the watched folder ``path``; if that is not watched any more, it only concludes
    what was begun. Used by one thread at a time; what it tells may be asked from any. ``on_progress`` is called
    whenever some of a file was read."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        journal: Journal,
        roots: Roots,
        copier: Copier,
        *,
        on_changed: Callable[[Path], None],
        on_progress: Callable[[], None],
    ) -> None:
        self._path = path
        self._settings = settings
        self._folder = next((folder for folder in settings.folders if folder.input == path), None)
        self._journal = journal
        self._roots = roots
        self._on_changed = on_changed
        self._on_progress = on_progress
        self._copier = copier
        self._rest: _Rest | None = None
        self._writes = LateWrites()
        self._undecided = Undecided(journal, settings.folders, _log_found)
        self.source: Path | None = None
        """The file that is being copied."""

    def take_over(self, before: Copying) -> None:
        """Go on with what could not be concluded before the configuration changed."""
        self._writes, self._undecided = before._writes, before._undecided

    @property
    def places(self) -> list[Path]:
        """The folders whose disks it depends on."""
        return [self._path] if self._folder is None else [self._folder.input, self._folder.output]

    @property
    def has_leftovers(self) -> bool:
        """Whether something cannot be concluded yet."""
        return bool(self._writes or len(self._undecided))

    @property
    def is_wanted(self) -> bool:
        """Whether there is something to do, or may be soon."""
        if self.has_leftovers or self._rest is not None:
            return True
        return self._folder is not None and self._journal.is_anything_to_copy(self._folder.input)

    @property
    def pause(self) -> CopyPause | None:
        """Why nothing is copied for a while, if so."""
        return None if (rest := self._rest) is None else rest.told

    def troubles(self) -> list[str]:
        """Say what cannot be concluded."""
        return list(self._undecided.troubles())

    def turn(self) -> bool:
        """Copy a file that is due; return whether there may be more."""
        self._writes.retry()
        self._undecided.decide(time.monotonic())
        folder = self._folder
        if folder is None or self._writes or self._journal.is_paused() or not self._is_ready(folder):
            return False
        claims = self._journal.claim(1, [folder.input], copies=True)
        for claim in claims:
            self.source = claim.source
            try:
                self._do(Attempt(claim, folder, self._on_progress))
            finally:
                self.source = None
        if not claims and self._rest is not None and not self._journal.is_anything_to_copy(folder.input):
            self._rest = None
        return bool(claims)

    def _is_ready(self, folder: FolderSettings) -> bool:
        if self._rest is not None and time.monotonic() < self._rest.until:
            return False
        if any((hold.folder, hold.directory) == (folder.input, folder.output) for hold in self._journal.holds()):
            return False  # a picture could not be published there either
        return self._roots.is_there(folder.input)

    def _do(self, attempt: Attempt) -> None:
        begun, claim = time.monotonic(), attempt.claim
        try:
            output = self._copier.copy(attempt)
        except Exception as error:  # noqa: BLE001  (whatever it is, the job is not left claimed)
            self._writes.write(partial(self._conclude, attempt, error))
            return
        self._discard(attempt)
        quarantine.remove(self._journal.state, claim.id, claim.source)  # of an earlier failure
        self._rest = None
        seconds = round(time.monotonic() - begun, 2)
        log.info("copied", job=claim.id, path=str(claim.source), output=str(output), seconds=seconds)

    def _conclude(self, attempt: Attempt, error: Exception) -> None:
        """Say in the journal what it means that there is no copy, or that nobody knows."""
        claim, journal = attempt.claim, self._journal
        if (out := journal.announced(claim.id)) is not None:  # it may be visible already
            self._undecided.add(out)
            return
        self._discard(attempt)
        if isinstance(error, CalledOff):
            return  # it is no longer ours
        if isinstance(error, Stopped):
            journal.put_back([claim.id], "the daemon stops")
        elif isinstance(error, Needless):
            quarantine.remove(journal.state, claim.id, claim.source)
            journal.skip(claim, error.fingerprint, str(error))
            log.info("skipped", job=claim.id, path=str(claim.source), reason=str(error))
        elif isinstance(error, Replaced | sources.Changed):
            quarantine.remove(journal.state, claim.id, claim.source)
            journal.withdraw(claim, str(error))
            self._on_changed(claim.source)
        elif not isinstance(error, OSError):
            self._failed(claim, error)
        elif not _is_about_source(error, claim):
            self._blocked(attempt, error)
        elif not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._failed(claim, error)
        elif self._roots.is_there(claim.folder):
            quarantine.remove(journal.state, claim.id, claim.source)
            journal.vanish(claim)
        else:
            journal.put_back([claim.id], "its folder is away")

    def _failed(self, claim: Claim, error: Exception) -> None:
        """The trouble is with this file alone: it is tried again, or given up."""
        verdict, text = judge(error, claim.source, claim.delays), explain_error(error)
        advice = verdict.advice
        if isinstance(error, BadOption):  # a link in the output; it says itself what to do about that
            advice = f"Then run: {retry_command(claim.source)}"
        attempts = claim.attempts + verdict.costs_attempt
        facts: dict[str, object] = {"job": claim.id, "path": str(claim.source), "error": text, "advice": advice}
        if verdict.permanent or attempts >= self._settings.max_attempts:
            record = {"reason": text, "advice": advice, "attempts": attempts, "failed": time.time()}
            records.record(self._journal, claim.id, claim.source, record)
            self._journal.fail(claim.id, attempts=attempts, error=text, advice=advice)
            log.error("failed", **facts)
            return
        wait = self._put_off(claim, attempts, text, advice)
        log.warning("put off", **facts, retry_in=round(wait, 1))

    def _blocked(self, attempt: Attempt, error: OSError) -> None:
        """The trouble is with the output: for a while nothing is copied there, as another file would fare no better."""
        claim, folder = attempt.claim, attempt.folder
        is_whole = error.filename in {None, os.fspath(folder.output)}
        reason = OutputUnavailable(folder.output if is_whole else attempt.directory, 0, error)
        misses = 0 if self._rest is None else self._rest.misses + 1
        seconds = delay_seconds(misses)
        told = CopyPause(reason=str(reason), advice=reason.advice)
        self._rest = _Rest(time.monotonic() + seconds, misses, told)
        self._put_off(claim, claim.attempts, str(reason), reason.advice)
        log.warning("copying pauses", folder=str(claim.folder), reason=str(reason), advice=reason.advice, job=claim.id)

    def _put_off(self, claim: Claim, attempts: int, error: str, advice: str) -> float:
        wait = delay_seconds(claim.delays)
        due, delays = time.time() + wait, claim.delays + 1
        self._journal.put_off(claim.id, due=due, attempts=attempts, delays=delays, error=error, advice=advice)
        return wait

    @staticmethod
    def _discard(attempt: Attempt) -> None:
        if attempt.staged is not None:
            discard(attempt.staged)
            attempt.staged = None


def _is_about_source(error: OSError, claim: Claim) -> bool:
    """Tell whether it was the file, or a folder that it is in, and not the output."""
    return error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(claim.folder)


def _log_found(job: JobRecord, output: Path, _: float) -> None:
    log.info("copied after all", job=job.id, path=str(job.source), output=str(output))
