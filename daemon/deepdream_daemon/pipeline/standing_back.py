"""Jobs that stand back though they are claimed: nothing can be published for them, or they may not be dreamt now.

Only what has not begun to be dreamt stands back; the rest is finished.
"""

from __future__ import annotations

import time

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.pipeline.claiming import Claiming
from deepdream_daemon.pipeline.gates import Gates, OutputUnavailable
from deepdream_daemon.pipeline.leaving import Leaving
from deepdream_daemon.pipeline.stations import Stations
from deepdream_daemon.pipeline.task import Task

SLICE_SECONDS = 60.0
"""So long a film is dreamt before it gives way to what cannot be dreamt beside it: each slice begins with reading its
source again, and a film whose frames take a minute each has at least one chunk done."""


class StandingBack:
    """Puts them back into the queue. Used by the pipeline's thread alone."""

    def __init__(
        self,
        *,
        gates: Gates,
        claiming: Claiming,
        stations: Stations,
        leaving: Leaving,
    ) -> None:
        self._gates = gates
        self._claiming = claiming
        self._stations = stations
        self._leaving = leaving
        self.ends_because = ""
        """Why nothing more is begun here, if so."""

    def close(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        """Nothing can be published in a directory: dream nothing more for it until that has passed."""
        self._gates.close(folder, reason)
        self.for_gates()

    def for_gates(self) -> None:
        """Put back whatever could not be published."""
        held = self._stations.take_back(self._gate)
        for why in dict.fromkeys(map(self._gate, held)):
            if why is not None:
                tasks = [task for task in held if self._gate(task) is why]
                self._leaving.put_back(tasks, str(why))
                self._gates.set_aside(tasks[0].folder, why)

    def for_films(self) -> None:
        """Have films end their slices that may not go on, or that others have waited for long enough."""
        films = [task for task in self._stations.tasks if task.is_film and task.stage == "dreaming"]
        if not films:
            return
        held = self._claiming.held_back()
        others = self._stations.is_any_waiting
        for task in films:
            is_long = time.monotonic() - task.dreamt_since >= SLICE_SECONDS
            may_not = bool(self.ends_because) or task.claim.folder in held or self._gate(task) is not None
            may_not = may_not or self._stations.line.is_on_trial  # nobody else is begun until that is over
            task.gives_way = may_not or (others and is_long)

    def for_settings(self) -> None:
        """Put back whatever may not be begun now: the daemon is paused, or the hours are over."""
        for path, why in self._claiming.held_back().items():
            back = self._stations.take_back(lambda task, path=path: task.claim.folder == path)  # type: ignore[misc]
            self._leaving.put_back(back, why)

    def for_good(self, why: str) -> None:
        """Put back all, now and whenever this is said again."""
        self.ends_because = why
        self.for_films()
        self._leaving.put_back(self._stations.take_all_back(), why)

    def _gate(self, task: Task) -> OutputUnavailable | None:
        return self._gates.reason(task.folder, task.directory)
