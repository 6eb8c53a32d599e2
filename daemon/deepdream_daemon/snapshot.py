"""What the daemon is doing at one moment: frozen, cheap to make, safe to read from any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepdream_daemon.journal.deliveries import Undelivered


@dataclass(frozen=True, kw_only=True)
class Active:
    """A job under way; ``fraction`` is that of its dream, in [0, 1]."""

    job: int
    path: Path
    recipe: str
    stage: str
    fraction: float
    seconds: float


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
    ``undelivered`` dreams have not arrived at a sink, once the
    journal was asked.
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
