"""The disposer: works off what is to become of sources whose dreams are safe, and copies files that are no pictures.

Two threads, beside the pipeline. The journal is asked what is left to do, never remembered.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.disposal.aside import Aside, put_all_back
from deepdream_daemon.disposal.copying import Copying
from deepdream_daemon.disposal.disposing import Disposing, DreamAway, Gone, Kept
from deepdream_daemon.disposal.trash import Trash, put_into_trash
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.disposals import Leftover
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS, delay_seconds, explain_error
from deepdream_daemon.publishing.places import OtherPlace, check_place
from deepdream_daemon.publishing.recovery import sweep

log = structlog.get_logger("deepdream")

POLL_SECONDS = 1.0
MEND_SECONDS = 5.0
AWAY_SECONDS = 15.0
MOST_LOOKS = 6
"""So many times in a minute a dream is looked for before its source stays for good: somebody has taken it away."""


class Disposer:
    """Works in threads of its own from ``start`` until ``stop`` is set; ``troubles`` may be asked from any thread.

    ``on_changed`` hears of a file that has to settle again.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        roots: Roots,
        stop: threading.Event,
        *,
        token: str,
        on_changed: Callable[[Path], None] = lambda _: None,
        trash: Trash = put_into_trash,
    ) -> None:
        self._settings = settings
        self._folders = {folder.input: folder for folder in settings.folders}
        self._journal = journal
        self._roots = roots
        self._stop = stop
        self._token = token
        self._disposing = Disposing(journal, token, trash)
        self._copying = Copying(settings, journal, roots, stop, token=token, on_changed=on_changed)
        self._wake = {"dispose": threading.Event(), "copy": threading.Event()}
        self._is_tidy = False
        self._mend_at = 0.0
        self._misses = 0
        self._rest_until = 0.0
        self._threads: list[threading.Thread] = []

    def start(self, after: Disposer | None = None) -> None:
        """Begin with what is due, as soon as the disposer before has ended: no file is worked on by two."""
        for name, run in (("dispose", self._dispose_all), ("copy", self._copy_all)):
            thread = threading.Thread(target=run, args=(self._wake[name], after), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """There may be something to do, or the daemon stops."""
        for wake in self._wake.values():
            wake.set()

    def join(self, seconds: float) -> None:
        """Wait until what is under way has ended, or for ``seconds``, once ``stop`` is set."""
        self.wake()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def is_alive(self) -> bool:
        """Whether something may still be under way."""
        return any(thread.is_alive() for thread in self._threads)

    def troubles(self) -> list[str]:
        """Say what could not be done yet."""
        return self._copying.troubles() + self._journal.disposal_troubles()

    def _dispose_all(self, wake: threading.Event, before: Disposer | None) -> None:
        _await_end_of(before)
        self._work(self.turn, wake)

    def _copy_all(self, wake: threading.Event, before: Disposer | None) -> None:
        _await_end_of(before)
        if before is not None:
            self._copying.take_over(before._copying)
        self._work(self._copying.turn, wake)

    def _work(self, turn: Callable[[], bool], wake: threading.Event) -> None:
        while not self._stop.is_set():
            try:
                has_more = turn()
            except Exception as error:
                if self._stop.is_set():  # the journal is closed, and tells the next start how far this came
                    return
                log.exception("something went wrong beside the dreams, it goes on", error=explain_error(error))
                self._stop.wait(MEND_SECONDS)
                continue
            if not has_more:
                wake.wait(POLL_SECONDS)
                wake.clear()

    def turn(self) -> bool:
        """Dispose of what is due; return whether there may be more."""
        if not self._is_tidy:
            self._tidy()
            self._is_tidy = True
        now = time.monotonic()
        if now < self._rest_until:
            return False
        if now >= self._mend_at:
            self._mend_at = now + LONGEST_SECONDS
            self._journal.mend_disposal_clock(time.time() + 2 * LONGEST_SECONDS)
        leftovers = self._journal.due_disposals()
        for left in leftovers:
            if self._stop.is_set() or time.monotonic() < self._rest_until:
                return False
            self._dispose(left)
        return bool(leftovers)

    def _dispose(self, left: Leftover) -> None:
        folder = self._folders.get(left.folder)
        if folder is None or folder.source == "keep":
            self._call_off(left, folder)
            return
        if not left.begun:
            left = replace(left, how=folder.source)  # as the configuration says now
        if away := self._away(folder):
            self._put_off(left, away, AWAY_SECONDS, counts=False)
            return
        try:
            done = self._disposing.dispose(left, folder)
        except Kept as error:
            self._keep(left, str(error))
        except Gone:
            why = "it was gone before"
            self._journal.end_disposal(left, "given up", why, why)
            log.info("the source is gone", job=left.job, path=str(left.source))
        except DreamAway as error:
            if left.attempts + 1 >= MOST_LOOKS:
                self._keep(left, str(error))
            else:
                self._put_off(left, str(error), delay_seconds(left.attempts))
        except sqlite3.Error:
            raise  # nothing is wrong with the source
        except Exception as error:  # noqa: BLE001  (whatever it is, the source is there, and others come first)
            self._misses += 1
            if self._misses > 1:  # one that makes trouble keeps no other; several mean that the disk does
                self._rest_until = time.monotonic() + delay_seconds(self._misses - 2)
            self._put_off(left, explain_error(error), delay_seconds(left.attempts))
        else:
            self._misses = 0
            self._journal.end_disposal(left, "done", done.what, done.remark)
            log.info("disposed", job=left.job, path=str(left.source), what=done.what, remark=done.remark)

    def _away(self, folder: FolderSettings) -> str | None:
        """Say which of the folders that it takes is not there at the moment, or is another one than before."""
        if not self._roots.is_there(folder.input):
            return f"the folder {os.fspath(folder.input)!r} is away"
        try:
            check_place(self._journal, folder.output)
            if folder.source == "move" and folder.processed is not None:
                check_place(self._journal, folder.processed, used=True)
        except OtherPlace as error:
            return str(error)
        except OSError as error:
            return f"the folder {error.filename!r} is away"
        return None

    def _call_off(self, left: Leftover, folder: FolderSettings | None) -> None:
        """Keep a source that is not to be disposed of any more; an earlier daemon may have put it aside already."""
        if left.begun and folder is not None and not self._roots.is_there(folder.input):
            self._put_off(left, f"the folder {os.fspath(folder.input)!r} is away", AWAY_SECONDS, counts=False)
            return
        try:
            Aside(left.folder, left.source.parent, self._journal.instance, left.job).put_all_back()
        except OSError as error:
            self._put_off(left, explain_error(error), delay_seconds(left.attempts))
            return
        self._keep(left, "the configuration keeps it now" if folder else "its folder is not watched any more")

    def _keep(self, left: Leftover, why: str) -> None:
        self._journal.end_disposal(left, "given up", f"kept: {why}", why)
        log.warning("the source is kept", job=left.job, path=str(left.source), reason=why)

    def _put_off(self, left: Leftover, why: str, seconds: float, *, counts: bool = True) -> None:
        self._journal.put_off_disposal(left, why, due=time.time() + seconds, counts=counts)
        log.warning(
            "the source is still there",
            job=left.job,
            path=str(left.source),
            error=why,
            attempt=left.attempts + 1,
            retry_in=round(seconds, 1),
        )

    def _tidy(self) -> None:
        """Give back what an earlier daemon put aside and nobody knows of, and remove what it copied in part."""
        begun = {left.job for left in self._journal.begun_disposals()}
        for folder in self._settings.folders:
            try:
                if self._roots.is_there(folder.input):
                    for path in put_all_back(folder.input, self._journal.instance, begun.__contains__):
                        log.warning("given back", path=str(path))
            except OSError as error:
                log.warning("could not be tidied", folder=str(folder.input), error=explain_error(error))
        processed = {folder.processed for folder in self._settings.folders if folder.processed is not None}
        sweep((path for path in processed if path.is_dir()), self._journal.instance, self._token, stop=self._stop)


def _await_end_of(before: Disposer | None) -> None:
    """Wait even if this one has to stop already: another may come after it."""
    while before is not None and before.is_alive:
        time.sleep(0.05)
