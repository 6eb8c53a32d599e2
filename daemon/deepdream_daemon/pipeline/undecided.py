"""Outputs that were announced and may be visible or not, when that cannot be found out at the moment.

Their folder may be away, or its disk may fail. Nothing is published again before it is known; it is tried ever more
rarely, and at once when a closed output folder opens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_daemon.publishing.recovery import resolve

log = structlog.get_logger("deepdream")

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0


@dataclass(eq=False)
class _Open:
    out: Announced
    seconds: float
    delay_seconds: float
    error: str = ""
    due: float = 0.0


class Undecided:
    """Decides them one after the other, of the watched ``folders``; ``on_found`` hears of each that is visible,
    its job and the seconds that it took. Used by one thread; the troubles may be asked from any."""

    def __init__(
        self, journal: Journal, folders: Sequence[FolderSettings], on_found: Callable[[JobRecord, Path, float], None]
    ) -> None:
        self._journal = journal
        self._folders = folders
        self._on_found = on_found
        self._open: list[_Open] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, out: Announced, seconds: float = 0.0) -> None:
        """Find out what became of an output whose dream had taken ``seconds``."""
        self._open.append(_Open(out, seconds, FIRST_SECONDS))

    def hurry(self) -> None:
        """What kept it from being found out may be over."""
        for one in self._open:
            one.due = 0.0

    def decide(self, now: float) -> None:
        """Try those that are due at ``now`` by the monotonic clock."""
        for one in [one for one in self._open if one.due <= now]:
            self._decide(one)

    def troubles(self) -> dict[str, str]:
        """Say which cannot be decided, and why, each with what to do about it."""
        return {
            f"whether the output {os.fspath(one.out.target)!r} was published cannot be found out: {one.error}": (
                f"Let {os.fspath(one.out.target.parent)!r} be there and readable; it is tried again by itself."
            )
            for one in list(self._open)
            if one.error
        }

    def _decide(self, one: _Open) -> None:
        out = one.out
        try:
            target = resolve(self._journal, out, self._folders)
        except Exception as error:  # noqa: BLE001  (it may pass, and the other jobs go on)
            level = log.debug if one.error else log.warning
            one.error = explain_error(error)
            level("cannot find out whether it was published", job=out.job, output=str(out.target), error=one.error)
            one.due = time.monotonic() + one.delay_seconds
            one.delay_seconds = min(one.delay_seconds * 2, LONGEST_SECONDS)
        else:
            self._open.remove(one)
            job = None if target is None else self._journal.of_output(target)
            if target is not None and job is not None:
                self._on_found(job, target, one.seconds)
