"""The lane of one watched folder: its sources are disposed of one after the other, and the journal is told. A folder
that makes trouble rests for a while; the others have lanes of their own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

import structlog

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.disposal.aside import Aside, put_all_back
from deepdream_daemon.disposal.disposing import Disposing, DreamAway, Gone, Kept
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.disposals import Leftover
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import delay_seconds, explain_error
from deepdream_daemon.publishing.places import OtherPlace, check_place
from deepdream_daemon.publishing.recovery import sweep

log = structlog.get_logger("deepdream")

AWAY_SECONDS = 15.0
MOST_LOOKS = 6
"""So many times in a minute a dream is looked for before its source stays for good: somebody has taken it away."""


class FolderLane:
    """Used by one thread at a time; ``folder`` is ``None`` if it is not watched any more. It ends early once ``stop``
    is set."""

    def __init__(
        self, folder: FolderSettings | None, disposing: Disposing, journal: Journal, roots: Roots, stop: threading.Event
    ) -> None:
        self._folder = folder
        self._disposing = disposing
        self._journal = journal
        self._roots = roots
        self._stop = stop
        self._misses = 0
        self._rest_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether its disk has made trouble and is left alone for a while."""
        return time.monotonic() < self._rest_until

    def work_off(self, leftovers: Iterable[Leftover]) -> None:
        """Dispose of sources of this folder that are due."""
        for left in leftovers:
            if self._stop.is_set() or self.rests:
                return
            self._dispose(left)

    def tidy(self, token: str) -> None:
        """Give back what an earlier daemon put aside and nobody knows of, and remove what it copied in part."""
        folder = self._folder
        if folder is None:
            return
        begun = {left.job for left in self._journal.begun_disposals()}
        try:
            if self._roots.is_there(folder.input):
                for path in put_all_back(folder.input, self._journal.instance, begun.__contains__):
                    log.warning("given back", path=str(path))
        except OSError as error:
            log.warning("could not be tidied", folder=str(folder.input), error=explain_error(error))
        if folder.processed is not None and folder.processed.is_dir():
            sweep([folder.processed], self._journal.instance, token, stop=self._stop)

    def _dispose(self, left: Leftover) -> None:
        folder = self._folder
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
