"""What is to be taught to which network, and who hears how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.training.listing import Listing
from deepdream_engine.training.recipe import TrainingRecipe
from deepdream_engine.training.splitting import Parts

if TYPE_CHECKING:
    from torch import nn

    from deepdream_engine.training.telling import Standing


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The network to teach: ``load(classes, start)`` returns it with a new classifier for so many classes, none for 0,
    the path of that, and the digest of the weights that the rest has if it is taught already. ``base`` names those."""

    architecture: str
    base: str
    load: Callable[[int, str], tuple[nn.Module, str, str]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    side_px: int
    min_side_px: int
    default_tap: str
    aliases: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to teach: the pictures at ``place``, to ``subject``, as ``recipe`` says, into ``folder``.

    ``device`` is as for the engine, ``devices`` how many of them work at it, ``workers`` how many processes read
    pictures (``None``: as many as suit). ``log`` is ``csv`` or ``tensorboard``. ``restart`` drops what an earlier
    command has left, ``replace`` allows a model of that name to be replaced.
    """

    name: str
    place: Path
    folder: Path
    recipe: TrainingRecipe
    subject: Subject
    device: str = "auto"
    devices: int | None = None
    workers: int | None = None
    log: str = "csv"
    restart: bool = False
    replace: bool = False


class Watcher:
    """Hears how a training goes; each method may be left as it is."""

    def looking(self, what: str, done: int, of: int) -> None:
        """Files are looked at before anything is learnt: ``what`` is ``finding`` pictures among them, ``reading`` them,
        ``trying`` some of each class, or ``comparing`` them. ``of`` is 0 while nobody knows how many there are."""

    def begun(self, parts: Parts, listing: Listing, resumed_step: int) -> None:
        """It is known what there is to learn from, and where it goes on."""

    def troubled(self, what: str) -> None:
        """Something is wrong that the training outlives."""

    def unreadable(self, files: Sequence[tuple[str, str]]) -> None:
        """These pictures turned out to be of no use only when they were to be learnt from or measured."""

    def standing(self, standing: Standing) -> None:
        """A step is done."""

    def measuring(self, done: int, of: int) -> None:
        """Held-out pictures are looked at."""

    def should_stop(self) -> bool:
        """Whether to end now; the same task goes on later."""
        return False
