"""Pictures on their way to the network: a data module whose order and chances depend on a seed and the step alone.

So a training that goes on after a stop sees exactly what it would have seen, with any number of helping processes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from deepdream_engine.errors import BadPicture
from deepdream_engine.host_memory import free_bytes
from deepdream_engine.training.course import Course, Draw
from deepdream_engine.training.listing import Listing, Sample
from deepdream_engine.training.reading import read_small
from deepdream_engine.training.recipe import TrainingRecipe

_CACHE_SHARE = 0.25
"""Of the free memory, for all processes of this machine that keep pictures."""
_DETAIL = 1.5
"""How much larger than the training's side a picture is kept, so that a part of it is no blown-up one."""

_STRETCH = (3 / 4, 4 / 3)
_READERS = 4


class Fault(NamedTuple):
    """A picture that cannot be read, and why."""

    name: str
    why: str


class Pictures(Dataset["tuple[Tensor, int] | Fault"]):
    """Samples of a listing, kept in memory as far as there is room, which ``processes`` share. A look at one is a view
    of it, ``(3, H, W)``, or where views are to be known again, two of different chances, ``(2, 3, H, W)``."""

    def __init__(
        self,
        listing: Listing,
        samples: Sequence[Sample],
        recipe: TrainingRecipe,
        shorter_px: int,
        *,
        processes: int = 1,
    ) -> None:
        self.listing, self.samples, self.shorter_px = listing, samples, shorter_px
        self.faults: dict[Sample, str] = {}
        self._recipe = recipe
        self._kept: dict[Sample, Tensor] = {}
        self._room = free_bytes() * _CACHE_SHARE / processes

    def part(self, listing: Listing, samples: Sequence[Sample], *, readers: int = 1) -> Pictures:
        """Return some of them, without reading those again that are kept; the room that is left is shared among so many
        readers, each of which keeps its own."""
        part = Pictures(listing, samples, self._recipe, self.shorter_px)
        part._kept = {sample: self._kept[sample] for sample in samples if sample in self._kept}
        part._room = self._room / readers
        return part

    def __getstate__(self) -> dict[str, object]:
        # Readers that do not share memory with this process keep only what they read themselves.
        return {**self.__dict__, "_kept": {}}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int] | Fault:
        picture, sample = self.picture(draw.place), self.samples[draw.place]
        if picture is None:
            return Fault(sample.name, self.faults[sample])
        if draw.chance is None:
            return middle(picture, draw.side_px), sample.label
        change = augmentation(self._recipe, draw.side_px)
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would ask after every kind of accelerator, which takes as long as the view itself.
            torch.default_generator.manual_seed(draw.chance)
            if self._recipe.goal == "views":
                return torch.stack([change(picture), change(picture)]), sample.label
            return change(picture), sample.label

    def picture(self, index: int) -> Tensor | None:
        """Return a picture as uint8 ``(3, H, W)``."""
        sample = self.samples[index]
        if sample in self._kept:
            return self._kept[sample]
        try:
            picture = read_small(self.listing.read(sample), self.shorter_px)
        except (BadPicture, OSError) as error:
            self.faults[sample] = str(error)
            return None
        if picture.nbytes < self._room:
            self._room -= picture.nbytes
            self._kept[sample] = picture
        return picture

    def read_all(self, told: Callable[[int, int], None]) -> None:
        """Read them all ahead, several at a time; ``told(done, of)`` hears how far it is."""
        with ThreadPoolExecutor(_READERS) as readers:
            for done, _ in enumerate(readers.map(self.picture, range(len(self))), 1):
                told(done, len(self))


def middle(picture: Tensor, side_px: int) -> Tensor:
    """Return the square in the middle of uint8 ``(3, H, W)``, resized to the side, as floats in [0, 1]."""
    side = min(picture.shape[1:])
    square = v2.functional.center_crop(picture, [side, side])
    sized: Tensor = v2.functional.resize(square, [side_px, side_px], antialias=True)
    return sized.float() / 255


@lru_cache(maxsize=8)
def augmentation(recipe: TrainingRecipe, side_px: int) -> v2.Transform:
    """Return what makes another view of the same thing out of uint8 ``(3, H, W)``: floats in [0, 1]."""
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(side_px, scale=(recipe.crop, 1.0), ratio=_STRETCH, antialias=True),
        v2.RandomHorizontalFlip(),
    ]
    if recipe.colour or recipe.hue:
        steps.append(v2.ColorJitter(recipe.colour, recipe.colour, recipe.colour, recipe.hue))
    if recipe.grey:
        steps.append(v2.RandomGrayscale(recipe.grey))
    steps.append(v2.ToDtype(torch.float32, scale=True))
    if recipe.rotation:
        # Half of them only: turning blurs, and corners that were not in the picture are grey.
        turn = v2.RandomRotation(recipe.rotation, interpolation=v2.InterpolationMode.BILINEAR, fill=0.5)
        steps.append(v2.RandomApply([turn]))
    return v2.Compose(steps)


class Order(Sampler["list[Draw]"]):
    """So many batches as an epoch has, from the step on that ``position()`` says; this process's share of each.

    Step ``n`` is the same whoever asks: every pass through the pictures is a shuffle of its own seed.
    """

    def __init__(self, course: Course, position: Callable[[], int], rank: int, ranks: int) -> None:
        self._course, self._position, self._rank, self._ranks = course, position, rank, ranks

    def __len__(self) -> int:
        return self._course.epoch_steps

    def __iter__(self) -> Iterator[list[Draw]]:
        begin = self._position()
        for step in range(begin, min(begin + len(self), self._course.steps)):
            yield self._course.batch(step)[self._rank :: self._ranks]


class Lessons(pl.LightningDataModule):
    """The loaders of both parts; ``workers`` processes help to read."""

    def __init__(self, training: Pictures, watched: Pictures | None, course: Course, workers: int) -> None:
        super().__init__()
        self.training, self.watched, self.course, self.workers = training, watched, course, workers

    def train_dataloader(self) -> DataLoader[object]:
        """Return the loader that goes through the course."""
        trainer = self.trainer
        assert trainer is not None
        order = Order(self.course, lambda: trainer.global_step, trainer.global_rank, trainer.world_size)
        return _loader(self.training, order, self.workers)

    def val_dataloader(self) -> DataLoader[object] | list[object]:
        """Return the loader of the watched pictures, or none."""
        if self.watched is None:
            return []
        looks = plain_looks(len(self.watched), self.course.largest_px, self.course.recipe.goal)
        return _loader(self.watched, looks, min(1, self.workers))


def plain_looks(pictures: int, side_px: int, goal: str, batch: int = 64) -> list[list[Draw]]:
    """Return looks at the middle of each picture, or at the same two views of it whenever it is asked, in batches."""
    return [
        [
            Draw(index, side_px, index if goal == "views" else None)
            for index in range(begin, min(begin + batch, pictures))
        ]
        for begin in range(0, pictures, batch)
    ]


class Batch(NamedTuple):
    """Pictures ``(N, 3, H, W)``, or two views of each, ``(N, 2, 3, H, W)``, and labels ``(N,)`` of those that could be
    read; and the others."""

    pictures: Tensor
    labels: Tensor
    faults: list[Fault]


def stacked(views: Sequence[tuple[Tensor, int] | Fault]) -> Batch:
    """Put looks together."""
    faults = [view for view in views if isinstance(view, Fault)]
    read = [view for view in views if not isinstance(view, Fault)]
    if not read:
        return Batch(torch.empty(0, 3, 1, 1), torch.empty(0, dtype=torch.long), faults)
    return Batch(torch.stack([view for view, _ in read]), torch.tensor([label for _, label in read]), faults)


def _loader(pictures: Pictures, batches: Sampler[list[Draw]] | list[list[Draw]], workers: int) -> DataLoader[object]:
    return DataLoader(
        pictures,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=stacked,
        worker_init_fn=_outlive_a_signal,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _outlive_a_signal(_worker: int) -> None:
    """Let the training end the processes that read, when a signal to all of them asks it to stop: it would take their
    deaths for a fault. A second signal, or the training's own, ends them."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _frame: signal.signal(number, signal.SIG_DFL))


def shorter_side(largest_px: int) -> int:
    """Return how large pictures are kept that are shown at ``largest_px`` at most."""
    return round(largest_px * _DETAIL)
