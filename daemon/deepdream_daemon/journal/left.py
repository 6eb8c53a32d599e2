"""The journal's answer to whether anything is left to do now: what a daemon that is drained waits for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.store import JournalStore

STUCK_SECONDS = 60.0
"""What could not be published for so long is not waited for: its folder is away, or its disk is full or fails."""


class LeftSide(JournalStore):
    """One question, asked twice a second while the daemon drains."""

    def is_anything_left(self, folders: Iterable[FolderSettings]) -> bool:
        """Tell whether a job is under way, or is due in one of the watched ``folders``. What was put off, waits for a
        file beside it, or cannot be published, is left for the next start; so is what nobody watches any more."""
        now = time.time()
        at_work = "SELECT 1 FROM jobs INDEXED BY jobs_at_work WHERE state IN ('running', 'publishing')"
        # When it was announced; by a clock that was set back since, at any time.
        if self._rows(f"{at_work} AND (state = 'running' OR abs(? - updated) < ?) LIMIT 1", now, STUCK_SECONDS):
            return True
        stuck = self._rows("SELECT folder, directory FROM holds WHERE abs(? - since) >= ?", now, STUCK_SECONDS)
        due = "SELECT 1 FROM jobs INDEXED BY jobs_by_folder WHERE state = 'queued' AND folder = ? AND due <= ? LIMIT 1"
        return any(
            self._rows(due, os.fsencode(folder.input), now)
            for folder in folders
            if (os.fsencode(folder.input), os.fsencode(folder.output)) not in {tuple(row) for row in stuck}
        )
