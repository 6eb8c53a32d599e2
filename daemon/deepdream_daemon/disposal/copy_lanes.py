"""Copying for all watched folders, each in a lane of its own: a disk that hangs holds up the copies of no other folder.

What is begun here is left to the lanes; nothing here but the journal is waited for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.disposal.copier import Copier
from deepdream_daemon.disposal.copying import Copying
from deepdream_daemon.disposal.lanes import Lanes
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.copies import CopyPause
from deepdream_daemon.journal.journal import Journal

SLICE_SECONDS = 5.0
"""After so long a folder with much to be copied gives way to others that wait for a thread."""


class CopyLanes:
    """``turn`` is for one thread; ``troubles`` may be asked from any. ``wake`` is called when there is more to do."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        roots: Roots,
        stop: threading.Event,
        *,
        token: str,
        on_changed: Callable[[Path], None],
        wake: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._roots = roots
        self._stop = stop
        self._copier = Copier(settings, journal, stop, token)
        self._on_changed = on_changed
        self._wake = wake
        self._lanes = {folder.input: self._make_lane(folder.input) for folder in settings.folders}
        self._at_work = Lanes("copy", stop, self._go_on)
        self._unended: set[Path] = set()
        """Folders that have given way."""
        self._former: list[CopyLanes] = []
        self._told: Mapping[Path, CopyPause] | None = None

    def take_over(self, before: CopyLanes) -> None:
        """Go on with what could not be concluded before the configuration changed, once it is not at work any more;
        ``before`` takes no more turns."""
        self._former, before._former = [before, *before._former], []

    def turn(self) -> bool:
        """Begin what there is to do in the folders where nothing is under way; ``wake`` tells when there is more."""
        busy = {path for each in self._all() for path in each._at_work.at_work()}
        self._gather(busy)
        for path, lane in self._lanes.items():
            if path not in busy and lane.is_wanted:
                self._unended.discard(path)
                self._at_work.begin(path, partial(self._work, path, lane))
        pauses = self._pauses()
        if pauses != self._told:
            self._journal.note_copy_pauses(pauses)  # for other processes, so that they can tell
            self._told = pauses
        return False

    def troubles(self) -> list[str]:
        """Say what keeps files from being copied."""
        pauses = [f"copying from {os.fspath(path)!r} pauses: {each.reason}" for path, each in self._pauses().items()]
        lanes = (lane for each in self._all() for lane in list(each._lanes.values()))
        return [*pauses, *(trouble for lane in lanes for trouble in lane.troubles())]

    @property
    def is_at_work(self) -> bool:
        """Whether something is under way."""
        return bool(self._at_work.at_work())

    def join(self, seconds: float) -> None:
        """Wait until nothing is under way, or for ``seconds``."""
        self._at_work.join(seconds)

    def close(self) -> None:
        """End the threads as soon as what is under way has ended; no turn is taken after that."""
        self._at_work.close()

    def _make_lane(self, path: Path) -> Copying:
        return Copying(
            path,
            self._settings,
            self._journal,
            self._roots,
            self._copier,
            on_changed=self._on_changed,
            on_progress=lambda: self._at_work.note_progress(path),
        )

    def _gather(self, busy: set[Path]) -> None:
        """Take what is left from the lanes of former configurations, but those at work."""
        for former in list(self._former):
            for path in former._lanes.keys() - busy:
                before = former._lanes.pop(path)
                if before.has_leftovers:  # of one at most: the next begins when this has happened
                    self._lanes.setdefault(path, self._make_lane(path)).take_over(before)
            if not former._lanes:
                self._former.remove(former)

    def _work(self, path: Path, lane: Copying) -> None:
        until = time.monotonic() + SLICE_SECONDS
        while not self._stop.is_set() and lane.turn():
            self._at_work.note_progress(path)
            if time.monotonic() > until:
                self._unended.add(path)
                return

    def _go_on(self) -> None:
        if self._unended:
            self._wake()

    def _pauses(self) -> dict[Path, CopyPause]:
        """Return the folders that nothing is copied from at the moment."""
        lanes = list(self._lanes.items())
        pauses = {path: pause for path, lane in lanes if (pause := lane.pause) is not None}
        for each in self._all():
            for path, seconds in each._at_work.hanging().items():
                if (lane := each._lanes.get(path)) is not None:  # it may have ended this moment
                    pauses[path] = _hangs(lane, seconds)
        return pauses

    def _all(self) -> list[CopyLanes]:
        return [self, *self._former]


def _hangs(lane: Copying, seconds: float) -> CopyPause:
    since = time.strftime("%H:%M", time.localtime(time.time() - seconds))
    disks = " and ".join(repr(os.fspath(place)) for place in lane.places)
    return CopyPause(
        reason=f"copying {os.fspath(lane.source or lane.places[0])!r} has made no progress since {since}",
        advice=f"Look at the disks of {disks}: when they answer, it goes on by itself.",
    )
