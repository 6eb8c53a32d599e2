"""What health, readiness and metrics are made of, gathered beforehand: whoever asks gets an answer at once, whatever
holds the daemon up.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from deepdream_daemon.journal.metering import Ended, JournalMeter, Reading, closing_quietly
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.sampler import Sampler
from deepdream_daemon.running.snapshot import Snapshot
from deepdream_engine.errors import DeepDreamError

Phase = Literal["starting", "ready", "reloading", "stopping"]

JOURNAL = "journal"
"""The name of its heartbeat: it was asked and has answered, be it with an error."""


class Facts:
    """Two threads: one asks the daemon for its snapshot, which may take as long as a disk hangs; the other asks the
    journal in the folder ``state``, over a connection of its own.

    ``worker_trouble`` says what keeps the worker from starting, if anything does; ``on_ended`` hears of each job that
    has ended.
    """

    def __init__(self, state: Path, heartbeats: Heartbeats) -> None:
        self.heartbeats = heartbeats
        self.phase: Phase = "starting"
        self.worker_trouble: Callable[[], str | None] = lambda: None
        self.on_ended: Callable[[Iterable[Ended]], None] = lambda _: None
        self._state = state
        self._since = time.time()
        self._meter: JournalMeter | None = None
        self._snapshots: Sampler[Snapshot] | None = None
        self._readings = Sampler("monitoring journal", self._read)

    def start(self, snapshot: Callable[[], Snapshot]) -> None:
        """Begin to gather."""
        self._snapshots = Sampler("monitoring snapshot", snapshot)
        self._snapshots.start()
        self._readings.start()

    def stop(self) -> None:
        """End gathering; the last facts stay."""
        if self._snapshots is not None:
            self._snapshots.stop(0.0)  # it may hang with a disk, and has nothing to put away
        if self._readings.stop():
            meter, self._meter = self._meter, None
            closing_quietly(meter)

    @property
    def snapshot(self) -> Snapshot | None:
        """The daemon as it was some seconds ago."""
        return self._snapshots.latest if self._snapshots is not None else None

    @property
    def snapshot_age_seconds(self) -> float | None:
        """How old :attr:`snapshot` is: it grows while the daemon looks at something that hangs."""
        return self._snapshots.age_seconds if self._snapshots is not None else None

    @property
    def reading(self) -> Reading | None:
        """The journal as it was some seconds ago."""
        return self._readings.latest

    def hanging(self) -> dict[str, float]:
        """Return the parts that have not shown for too long that they live, each with the seconds since."""
        # Its loops end one after the other, in the time that the service manager gives it.
        return {} if self.phase == "stopping" else self.heartbeats.stale()

    def unready(self) -> list[str]:
        """Say what keeps the daemon from taking new pictures, if anything; no names of files, as anybody may ask."""
        reading = self.reading
        reasons = [f"{name} has not been seen for {age:.0f} s" for name, age in self.hanging().items()]
        if self.phase in {"starting", "stopping"}:
            reasons.append(f"it is {self.phase}")
        elif reading is None and self._readings.error is None:
            reasons.append("it is starting")
        if self._readings.error is not None:
            reasons.append("the journal cannot be read")
        elif reading is not None:
            reasons += [f"the journal cannot be written to: {reading.locked_out}"] if reading.locked_out else []
            reasons += ["it is draining"] if reading.draining else []
        if self.worker_trouble() is not None:  # it may quote anything, so not here
            reasons.append("the worker does not start")
        return reasons

    def status(self) -> str:
        """Say in a line what it does."""
        if self.phase in {"starting", "stopping"}:
            return self.phase
        reading, snapshot = self.reading, self.snapshot
        if reading is None:
            return "ready"
        counts = dict(reading.counts)
        counts["in work"] = counts.pop("running", 0) + counts.pop("publishing", 0)
        told = [f"{counts.get(name, 0)} {name}" for name in ("queued", "in work", "waiting", "done", "failed")]
        flags = {
            "paused": reading.paused,
            "draining": reading.draining,
            "the last change of the configuration was refused": snapshot is not None and snapshot.reload_error,
            "degraded (deepdream status)": snapshot is not None and snapshot.degraded,
        }
        return "; ".join([", ".join(told), *(flag for flag, is_so in flags.items() if is_so)])

    def _read(self) -> Reading:
        try:
            if self._meter is None:
                self._meter = JournalMeter.beside(self._state, self._since)
            reading = Reading() if self._meter is None else self._meter.read()
        except (DeepDreamError, OSError, sqlite3.Error):  # it is opened anew the next time
            meter, self._meter = self._meter, None
            closing_quietly(meter)
            raise
        finally:
            self.heartbeats.beat(JOURNAL)
        self.on_ended(reading.ended)
        return reading
