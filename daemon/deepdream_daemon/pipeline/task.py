"""A job under way: what was claimed, how far it is, and what of it is in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.intake.selection import output_directory
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.pipeline.rendering import Prepared
from deepdream_daemon.pipeline.time_left import TimeLeft, words
from deepdream_daemon.publishing.names import dream_name
from deepdream_daemon.worker.died import PictureLost

if TYPE_CHECKING:
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

WAITING = "waiting"
"""How the names of stages begin in which nothing is done for the picture."""
FOR_MEMORY = "waiting for memory"
READING = "reading"
"""Its file, or what lies beside it: as long as its disk takes."""


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
    """Whether it is on its way to the worker, or there."""
    is_in_hands: bool = False
    """Whether a thread beside the engine has it, and so what it keeps in memory."""
    is_film: bool = False
    wants_preview: bool = False
    """Whether it is to be shown after its first octave."""
    previewing: threading.Lock = field(default_factory=threading.Lock)
    """Held while a preview, or the dream, is published: the dream comes last."""
    is_delivered: bool = False
    """Whether its dream is being published, and so no preview any more."""
    detail: str = ""
    """Of a film that is dreamt: at which frame it is."""
    dreamt_since: float = 0.0
    """When its slice began."""
    gives_way: bool = False
    """Whether a film is to end its slice at the next chance."""
    place: int | None = None
    """Of a film that goes on: behind which job, as others came first."""
    deaths_alone: int = 0
    """How often the worker has died with nothing but this picture at work in it."""
    _stage: str = WAITING
    _since: float = field(default_factory=time.monotonic)
    _worked_seconds: float = 0.0
    _frame: str = ""
    _time_left: TimeLeft = field(default_factory=TimeLeft)
    _deciding: threading.Lock = field(default_factory=threading.Lock)
    _is_announced: bool = False
    _is_given_up: bool = False
    _stands_back: bool = False

    def __post_init__(self) -> None:
        self._worked_seconds = self.claim.worked_seconds

    @property
    def order(self) -> int:
        """Its place among the tasks: those of folders with a higher priority come first, then the oldest."""
        place = self.claim.id if self.place is None else self.place
        return place - (self.folder.priority << 48)  # no journal has so many jobs

    @property
    def directory(self) -> Path:
        """Where its dream goes."""
        return output_directory(self.folder, self.claim.source)

    def dream_name(self, suffix: str) -> str:
        """Return what its dream is called, if nothing else is."""
        assert self.recipe is not None  # it is looked at before it is dreamt
        return dream_name(
            self.folder.name,
            self.claim.source.name,
            recipe=self.recipe.name,
            seed=self.seed,
            sha256=self.claim.sha256,
            suffix=suffix,
        )

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
        """For how long something has been done for it, in earlier tries too, not counting what it waited for others."""
        waits = self._stage.startswith(WAITING)
        return self._worked_seconds + (0.0 if waits else time.monotonic() - self._since)

    def has_read_for(self, seconds: float) -> bool:
        """Tell whether its file is being read, and has been for so long."""
        return self._stage == READING and time.monotonic() - self._since >= seconds

    def go_on(self, stage: str) -> None:
        """Its file was read: it goes on, unless it was to stand back meanwhile."""
        with self._deciding:
            if self._stands_back:
                raise PictureLost
            self.stage = stage

    def stand_back(self) -> bool:
        """Have it begin again once its file was read, if it is being read now; False if it goes on already."""
        with self._deciding:
            if self._stage == READING:
                self._stands_back, self.is_begun = True, False
            return self._stands_back

    @property
    def stands_back(self) -> bool:
        """Whether it is to begin again."""
        return self._stands_back

    def tell_detail(self, detail: str) -> None:
        """Note at which frame a film is. How long it takes as a whole is its own business: what counts as its work is
        what is done for one frame."""
        if detail != self._frame:
            self._frame, self._worked_seconds, self._since = detail, 0.0, time.monotonic()
        left = self._time_left.seconds(self.fraction)
        self.detail = detail if left is None else f"{detail}, about {words(left)} left"

    @property
    def is_given_up(self) -> bool:
        """Whether nobody needs it any more, though a thread may still work at it."""
        return self._is_given_up

    @property
    def is_announced(self) -> bool:
        """Whether its dream is announced, and so may be visible."""
        return self._is_announced

    def give_up(self) -> bool:
        """Have its dream never be announced; False if it is already, and then it goes on becoming visible.

        The journal alone could not tell: were the job queued and claimed again, it would be running once more, and two
        threads might announce a dream of it.
        """
        with self._deciding:
            self._is_given_up = not self._is_announced
            return self._is_given_up

    def announce(self, announce: Callable[[], bool]) -> bool:
        """Announce its dream, unless it is given up; tell whether that was done."""
        with self._deciding:
            if not self._is_given_up:
                self._is_announced = announce()
            return self._is_announced and not self._is_given_up

    def begin_again(self) -> None:
        """Forget what was done, and how long that took, as if it had just been claimed."""
        self.prepared = self.rendered = None
        self.fraction, self.is_begun, self._stands_back, self.stage = 0.0, False, False, WAITING
        self._worked_seconds = self.claim.worked_seconds
