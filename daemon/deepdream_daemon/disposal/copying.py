"""Copying through: what is no picture is published unchanged, so that the output of a folder is complete.

Each such file has a job like a picture's, which this claims instead of the pipeline, one after the other. Whatever
happens to one, its job does not stay claimed: what the journal cannot be told now it is told later, and first.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import Settings
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
    """Copies what the journal has for the folders of ``settings``. Used by one thread; ``troubles`` by any."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        roots: Roots,
        stop: threading.Event,
        *,
        token: str,
        on_changed: Callable[[Path], None],
    ) -> None:
        self._settings = settings
        self._folders = {folder.input: folder for folder in settings.folders}
        self._journal = journal
        self._roots = roots
        self._on_changed = on_changed
        self._copier = Copier(settings, journal, stop, token)
        self._rests: dict[Path, _Rest] = {}
        self._told: dict[Path, CopyPause] | None = None
        self._writes = LateWrites()
        self._undecided = Undecided(journal, settings.folders, _log_found)

    def take_over(self, before: Copying) -> None:
        """Go on with what could not be concluded before the configuration changed."""
        self._writes, self._undecided = before._writes, before._undecided

    def turn(self) -> bool:
        """Copy a file that is due; return whether there may be more."""
        self._writes.retry()
        self._undecided.decide(time.monotonic())
        self._tell_rests()
        if self._writes or self._journal.is_paused():
            return False
        ready = self._ready()
        claims = self._journal.claim(1, ready, copies=True)
        for claim in claims:
            self._do(Attempt(claim, self._folders[claim.folder]))
        if not claims:
            for path in self._rests.keys() & ready:
                if not self._journal.is_anything_to_copy(path):
                    del self._rests[path]
        return bool(claims)

    def troubles(self) -> list[str]:
        """Say what keeps files from being copied."""
        rests = [
            f"copying from {os.fspath(path)!r} pauses: {each.told.reason}" for path, each in [*self._rests.items()]
        ]
        return [*rests, *self._undecided.troubles()]

    def _ready(self) -> list[Path]:
        held = {(hold.folder, hold.directory) for hold in self._journal.holds()}
        now = time.monotonic()
        return [
            path
            for path, folder in self._folders.items()
            if not (path in self._rests and now < self._rests[path].until)
            and (path, folder.output) not in held  # a picture could not be published there either
            and self._roots.is_there(path)
        ]

    def _do(self, attempt: Attempt) -> None:
        begun = time.monotonic()
        try:
            output = self._copier.copy(attempt)
        except Exception as error:  # noqa: BLE001  (whatever it is, the job is not left claimed)
            self._writes.write(partial(self._conclude, attempt, error))
            return
        self._discard(attempt)
        claim = attempt.claim
        quarantine.remove(self._journal.state, claim.id, claim.source)  # of an earlier failure
        self._rests.pop(claim.folder, None)
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
        before = self._rests.get(claim.folder)
        misses = 0 if before is None else before.misses + 1
        seconds = delay_seconds(misses)
        told = CopyPause(reason=str(reason), advice=reason.advice)
        self._rests[claim.folder] = _Rest(time.monotonic() + seconds, misses, told)
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

    def _tell_rests(self) -> None:
        """Have other processes know what rests, so that ``explain`` can tell."""
        told = {path: each.told for path, each in self._rests.items()}
        if told != self._told:
            self._told = told
            self._writes.write(partial(self._journal.note_copy_pauses, told))


def _is_about_source(error: OSError, claim: Claim) -> bool:
    """Tell whether it was the file, or a folder that it is in, and not the output."""
    return error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(claim.folder)


def _log_found(job: JobRecord, output: Path, _: float) -> None:
    log.info("copied after all", job=job.id, path=str(job.source), output=str(output))
