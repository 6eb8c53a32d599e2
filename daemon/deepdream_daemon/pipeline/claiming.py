"""Claiming: which queued pictures are begun next, and what keeps those of a watched folder from being begun.

Folders of a higher priority come first; within one priority what was put off, then the oldest picture of all folders.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.gates import Gates, OutputUnavailable
from deepdream_daemon.pipeline.hours import is_open, opens_at
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.publishing.space import check_floor

log = structlog.get_logger("deepdream")

SPACE_SECONDS = 1.0
"""How often the free space of an output folder's disk is asked for."""


class Claiming:
    """Takes jobs from the journal for the folders that may go on. Used by the pipeline's thread alone."""

    def __init__(self, settings: Settings, journal: Journal, gates: Gates, roots: Roots) -> None:
        self._settings = settings
        self._journal = journal
        self._gates = gates
        self._roots = roots
        self._once = {folder.input for folder in settings.folders if folder.deduplicate}
        by_priority = sorted(settings.folders, key=lambda folder: -folder.priority)
        self._levels = [list(level) for _, level in itertools.groupby(by_priority, lambda folder: folder.priority)]
        self._space_at: dict[Path, float] = {}
        self._closed: set[Path] = set()

    def claim(self, room: int, under_way: Callable[[Path], Collection[int]] = lambda _: ()) -> list[Claim]:
        """Take up to ``room`` jobs; ``under_way`` tells which of a watched folder are at work here already."""
        claims: list[Claim] = []
        if room <= 0 or not self._journal.is_anything_due() or self._journal.is_paused():
            return claims
        for level in self._levels:
            try:
                most = {folder.input: self._left(folder, under_way) for folder in level if self._may_begin(folder)}
                ready = [path for path, left in most.items() if left > 0]
                if ready and len(claims) < room:
                    claims += self._journal.claim(room - len(claims), ready, most=most, once=self._once)
            except Exception:
                if not claims:
                    raise
                log.exception("not all folders could be asked for pictures")
                break  # what is claimed already has to be begun
        return claims

    def held_back(self) -> dict[Path, str]:
        """Return the watched folders of which nothing may be begun now, not even what is claimed, each with the reason:
        a pause, or the hour.

        Gates are not asked: they are for directories, and whoever has a claim asks them.
        """
        if self._journal.is_paused():
            return dict.fromkeys((folder.input for folder in self._settings.folders), "the daemon is paused")
        return {
            folder.input: f"it is dreamt {', '.join(folder.hours)}"
            for folder in self._settings.folders
            if not is_open(folder.hours)
        }

    def _left(self, folder: FolderSettings, under_way: Callable[[Path], Collection[int]]) -> int:
        """What a former configuration has begun counts as well. The journal knows it; what is being published it cannot
        tell from what nobody works at, as it is not known whether that is visible."""
        most = folder.max_at_once
        if most is None:
            return 1 << 30
        return most - len({*under_way(folder.input), *self._journal.running_in(folder.input)})

    def _may_begin(self, folder: FolderSettings) -> bool:
        return (
            self._is_within_hours(folder)
            and not self._gates.reason(folder, folder.output)
            and self._has_space(folder)
            and self._roots.is_there(folder.input)
        )

    def _is_within_hours(self, folder: FolderSettings) -> bool:
        if is_open(folder.hours):
            if folder.input in self._closed:
                self._closed.discard(folder.input)
                log.info("its hours have begun", folder=str(folder.input), hours=list(folder.hours))
            return True
        if folder.input not in self._closed:
            self._closed.add(folder.input)
            at = opens_at(folder.hours)
            told = None if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
            log.info("not within its hours", folder=str(folder.input), hours=list(folder.hours), opens=told)
        return False

    def _has_space(self, folder: FolderSettings) -> bool:
        """Look whether the output folder is there and has space, before anything is dreamt in vain; its gate closes
        otherwise."""
        now = time.monotonic()
        if now < self._space_at.get(folder.output, 0.0):
            return True  # it was enough a moment ago
        try:
            check_place(self._journal, folder.output)
            check_floor(folder.output, self._settings.min_free_gib)
        except OSError as error:
            self._gates.close(folder, OutputUnavailable(folder.output, 0, error))
            return False
        self._space_at[folder.output] = now + SPACE_SECONDS
        return True
