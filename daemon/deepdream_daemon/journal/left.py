"""The journal's answer to whether anything is left to do now: what a daemon that is drained waits for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from deepdream_daemon.journal.store import JournalStore


class LeftSide(JournalStore):
    """One question, asked twice a second while the daemon drains."""

    def is_anything_left(self, folders: Iterable[Path]) -> bool:
        """Tell whether a job is under way, or is due in one of the watched ``folders``. What was put off, or waits for
        a file beside it, is left for the next start; so is what nobody watches any more."""
        if self._rows("SELECT 1 FROM jobs INDEXED BY jobs_at_work WHERE state IN ('running', 'publishing') LIMIT 1"):
            return True
        due = "SELECT 1 FROM jobs INDEXED BY jobs_by_folder WHERE state = 'queued' AND folder = ? AND due <= ? LIMIT 1"
        return any(self._rows(due, os.fsencode(folder), time.time()) for folder in folders)
