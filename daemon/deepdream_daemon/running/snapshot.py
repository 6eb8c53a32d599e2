"""What the daemon is doing at one moment: frozen, cheap to make, safe to read from any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepdream_daemon.journal.deliveries import Undelivered


@dataclass(frozen=True, kw_only=True)
class Active:
    """A job under way; ``fraction`` is that of its dream, in [0, 1], ``detail`` at which frame a film is."""

    job: int
    path: Path
    recipe: str
    stage: str
    fraction: float
    seconds: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A dream that was published."""

    job: int
    path: Path
    output: Path
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A job that failed or was put off, and why."""

    job: int
    path: Path
    error: str
    advice: str
    final: bool


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """``counts`` are jobs per state (see ``journal.STATES``); ``degraded`` says what is not as it should
    be, if anything.

    ``settling`` files are waited for until they are whole; ``found_by_rescan`` counts files that no event
    had told of. ``busy_share`` in [0, 1] is that of the time with work in which the devices computed, since the first
    dream; ``None`` before it. ``disabled`` are the plugins that failed again and again, each with the reason;
    ``undelivered`` dreams have not arrived at a sink, once the journal was asked. ``generation`` counts the
    configurations that were in force, ``reload_error`` is what is wrong with the one that is not. ``last_death`` is why
    the worker was started anew, ``worker_restarts`` how often. ``queued_since`` (unix time) is when the picture was
    queued that has been waiting for its first turn longest. ``free_bytes`` are those of the disks that are written to,
    by folder; ``beats`` how many seconds ago each part last showed that it lives.
    """

    counts: Mapping[str, int]
    active: tuple[Active, ...] = ()
    finished: tuple[Finished, ...] = ()
    errors: tuple[Trouble, ...] = ()
    degraded: str | None = None
    settling: int = 0
    found_by_rescan: int = 0
    watcher_restarts: int = 0
    busy_share: float | None = None
    disabled: Mapping[str, str] = field(default_factory=dict)
    undelivered: Undelivered | None = None
    paused: bool = False
    draining: bool = False
    generation: int = 1
    reload_error: str | None = None
    worker_restarts: int = 0
    last_death: str | None = None
    queued_since: float | None = None
    free_bytes: Mapping[Path, int] = field(default_factory=dict)
    beats: Mapping[str, float] = field(default_factory=dict)
