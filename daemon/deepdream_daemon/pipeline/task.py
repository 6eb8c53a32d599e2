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


@dataclass(eq=False)
class Task:
    """A claimed job under way."""

    claim: Claim
    folder: FolderSettings
    stage: str = "waiting"
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

    @property
    def order(self) -> int:
        """Its age among the tasks."""
        return self.claim.id

    @property
    def directory(self) -> Path:
        """Where its dream goes."""
        return output_directory(self.folder, self.claim.source)

    @property
    def seconds(self) -> float:
        """How long it has been under way."""
        return time.monotonic() - self.started
