"""Copying through: what is no picture is published unchanged, so that the output of a folder is complete.

Each such file has a job like a picture's, which this claims instead of the pipeline. It becomes visible like a dream:
whole, durable, announced before, under a name that nothing had.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal.looking import Replaced, look, opened, read_through
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.selection import output_directory
from deepdream_daemon.journal.claims import Announced, Claim
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import delay_seconds, explain_error, judge
from deepdream_daemon.publishing import quarantine
from deepdream_daemon.publishing.publish import CalledOff, Staged, file_mode, make_directory, reveal
from deepdream_daemon.publishing.recovery import announcement, resolve
from deepdream_daemon.publishing.space import check_floor
from deepdream_daemon.publishing.streaming import stage_stream

log = structlog.get_logger("deepdream")

AT_ONCE = 16
"""So many are claimed together."""


class Stopped(Exception):
    """The daemon stops in the middle of a file."""


@dataclass(frozen=True)
class _Pause:
    until: float
    misses: int
    why: str


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
        self._stop = stop
        self._token = token
        self._on_changed = on_changed
        self._pauses: dict[Path, _Pause] = {}
        self._undecided: list[Announced] = []

    def turn(self) -> bool:
        """Copy what is due; return whether there may be more."""
        if self._journal.is_paused():
            return False
        self._decide()
        ready = [path for path in self._folders if not self._rests(path) and self._roots.is_there(path)]
        claims = self._journal.claim(AT_ONCE, ready, copies=True)
        for position, claim in enumerate(claims):
            if self._stop.is_set() or self._rests(claim.folder):
                self._journal.put_back([each.id for each in claims[position:]], "copying pauses")
                break
            hit("copy.claimed")
            self._do(claim)
        return bool(claims)

    def troubles(self) -> list[str]:
        """Say what keeps files from being copied."""
        return [f"copying from {os.fspath(path)!r} pauses: {each.why}" for path, each in list(self._pauses.items())]

    def _do(self, claim: Claim) -> None:
        folder, begun = self._folders[claim.folder], time.monotonic()
        try:
            output = self._copy(claim, folder)
        except Stopped:
            self._journal.put_back([claim.id], "the daemon stops")
        except CalledOff:
            pass  # it is no longer ours
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.lexists(claim.source):
                self._failed(claim, error)  # it is the output that is away
            elif self._roots.is_there(claim.folder):
                self._journal.vanish(claim)
            else:
                self._journal.put_back([claim.id], "its folder is away")
        except (Replaced, sources.Changed) as error:
            self._journal.withdraw(claim, str(error))
            self._on_changed(claim.source)
        except OSError as error:
            self._failed(claim, error)
        else:
            self._pauses.pop(claim.folder, None)
            if output is not None:
                seconds = round(time.monotonic() - begun, 2)
                log.info("copied", job=claim.id, path=str(claim.source), output=str(output), seconds=seconds)

    def _copy(self, claim: Claim, folder: FolderSettings) -> Path | None:
        """Publish a copy, or find that there is one already."""
        fingerprint = sources.fingerprint(claim.source)
        earlier = {sha256: path for sha256, path in self._journal.copies_of(claim.source) if path.exists()}
        if earlier and (copy := earlier.get(look(claim.source, folder.input).sha256)) is not None:
            self._journal.skip(claim, fingerprint, f"it was copied already, to {os.fspath(copy)!r}")
            return None
        directory = output_directory(folder, claim.source)
        size_bytes = claim.source.lstat().st_size
        check_floor(folder.output, self._settings.min_free_gib, size_bytes)
        make_directory(folder.output, directory)
        with opened(claim.source, folder.input) as file:
            status = os.fstat(file.fileno())

            def parts(write: Callable[[bytes], object]) -> None:
                def each(chunk: bytes) -> None:
                    if self._stop.is_set():
                        raise Stopped
                    write(chunk)

                read_through(file, claim.source, each)

            mode, mtime_ns = file_mode(folder.mode), status.st_mtime_ns
            staged = stage_stream(folder.output, directory, parts, self._token, mode=mode, mtime_ns=mtime_ns)
        hit("copy.staged")
        try:
            if sources.fingerprint(claim.source) != fingerprint:
                raise sources.Changed("it changed while it was copied")
            return self._publish(claim, staged)
        finally:
            if self._journal.announced(claim.id) is None:
                staged.temp.unlink(missing_ok=True)

    def _failed(self, claim: Claim, error: OSError) -> None:
        if (out := self._journal.announced(claim.id)) is not None:  # it may be visible already
            self._undecided.append(out)
            self._pause(claim.folder, error)
            return
        source = os.fspath(claim.source)
        verdict = judge(error, claim.source, claim.delays)
        text = explain_error(error)
        facts: dict[str, object] = {"job": claim.id, "path": source, "error": text, "advice": verdict.advice}
        attempts = claim.attempts + verdict.costs_attempt
        if error.filename in {source, None} and (verdict.permanent or attempts >= self._settings.max_attempts):
            record = {"reason": text, "advice": verdict.advice, "attempts": attempts, "failed": time.time()}
            quarantine.write(self._journal.state, claim.id, claim.source, record)
            self._journal.fail(claim.id, attempts=attempts, error=text, advice=verdict.advice)
            log.error("failed", **facts)
            return
        if error.filename != source:
            self._pause(claim.folder, error)
            attempts = claim.attempts
        wait = delay_seconds(claim.delays)
        self._journal.put_off(
            claim.id,
            due=time.time() + wait,
            attempts=attempts,
            delays=claim.delays + 1,
            error=text,
            advice=verdict.advice,
        )
        log.warning("put off", **facts, retry_in=round(wait, 1))

    def _pause(self, folder: Path, error: OSError) -> None:
        """Copy nothing more from the folder for a while: another file would fare no better."""
        before = self._pauses.get(folder)
        misses = 0 if before is None else before.misses + 1
        self._pauses[folder] = _Pause(time.monotonic() + delay_seconds(misses), misses, explain_error(error))

    def _rests(self, folder: Path) -> bool:
        pause = self._pauses.get(folder)
        return pause is not None and time.monotonic() < pause.until

    def _decide(self) -> None:
        """Find out what became of copies whose publishing was interrupted."""
        for out in list(self._undecided):
            try:
                resolve(self._journal, out, [folder.output for folder in self._settings.folders])
            except OSError:
                continue  # it is tried again
            except CalledOff:
                pass
            self._undecided.remove(out)

    def _publish(self, claim: Claim, staged: Staged) -> Path:
        target = reveal(
            staged, claim.source.name, lambda path: self._journal.announce(announcement(claim.id, staged, path))
        )
        hit("copy.published")
        self._journal.finish(claim.id, None)
        hit("copy.done")
        quarantine.remove(self._journal.state, claim.id, claim.source)
        return target
