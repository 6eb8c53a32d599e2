"""A job under way: what was claimed, how far it is, and what of it is in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.intake.selection import output_directory
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.pipeline.rendering import Prepared

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

WAITING = "waiting"
"""How the names of stages begin in which nothing is done for the picture."""


@dataclass(eq=False)
class Task:
    """A claimed job under way."""

    claim: Claim
    folder: FolderSettings
    fraction: float = 0.0
    told_at: float = 0.0
    """When plugins were told of its progress last."""
    started: float = field(default_factory=time.monotonic)
    ready: float = 0.0
    fingerprint: str = ""
    seed: int = 0
    recipe: ResolvedRecipe | None = None
    companions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prepared: Prepared | None = None
    megapixels: float = 0.0
    """How much room it has taken."""
    rendered: Any = None
    is_begun: bool = False
    """Whether it is on its way from the decoder to the publisher, and not before that."""
    deaths_alone: int = 0
    """How often the worker has died with nothing but this picture at work in it."""
    _stage: str = WAITING
    _since: float = field(default_factory=time.monotonic)
    _worked_seconds: float = 0.0

    @property
    def order(self) -> int:
        """Its place among the tasks: those of folders with a higher priority come first, then the oldest."""
        return self.claim.id - (self.folder.priority << 48)  # no journal has so many jobs

    @property
    def directory(self) -> Path:
        """Where its dream goes."""
        return output_directory(self.folder, self.claim.source)

    @property
    def seconds(self) -> float:
        """How long it has been under way."""
        return time.monotonic() - self.started

    @property
    def stage(self) -> str:
        """What is being done, or waited for."""
        return self._stage

    @stage.setter
    def stage(self, stage: str) -> None:
        self._worked_seconds, self._since, self._stage = self.worked_seconds, time.monotonic(), stage

    @property
    def worked_seconds(self) -> float:
        """For how long something has been done for it, not counting what it waited for others."""
        waits = self._stage.startswith(WAITING)
        return self._worked_seconds + (0.0 if waits else time.monotonic() - self._since)

    def begin_again(self) -> None:
        """Forget what was done, as if it had just been claimed."""
        self.prepared = self.rendered = None
        self.fraction, self.is_begun, self.stage = 0.0, False, WAITING
