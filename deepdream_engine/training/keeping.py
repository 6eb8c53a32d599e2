"""A training's checkpoint: written whole or not at all, after any step, so that the same command goes on from it."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from deepdream_engine.errors import Cancelled
from deepdream_engine.training.lesson import LOSS, Lesson
from deepdream_engine.training.unfinished import CHECKPOINT
from deepdream_engine.training.whole import whole

_SECONDS = 20.0
_SHARE = 0.05
"""The most of a training's time that is spent on writing, however large a network is."""


class Checkpoints(TorchCheckpointIO):
    """Puts a checkpoint in the place of the one before; if it cannot, as on a full disk, that one stays, ``troubled``
    hears why, and the training goes on."""

    def __init__(self, troubled: Callable[[str], None]) -> None:
        super().__init__()
        self._troubled = troubled

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write it."""
        try:
            with whole(Path(path)) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # torch's own of a file that takes no more
            cause = error if isinstance(error, OSError) else error.__context__ or error
            self._troubled(
                f"the training cannot be kept at the moment ({cause}); what was kept before stays. Make room."
            )


class Keeping(pl.Callback):
    """Keeps the last state of a training in ``folder``, the state of the least loss on watched pictures in itself, and
    ends the training after ``patience`` looks without a lesser one, or when weights are no numbers any more.

    At the end :attr:`best` holds the weights to use, if not the last ones. Each stage with a rate, and each with other
    adversaries, makes another network on purpose: looking for the least begins anew, and what was best before it is
    forgotten. :attr:`lost_at` is the step at which weights were found to be no numbers; such a state is never kept.
    """

    def __init__(self, folder: Path, patience: int, should_stop: Callable[[], bool]) -> None:
        self.folder, self._patience, self._should_stop = folder, patience, should_stop
        self.best: dict[str, Tensor] | None = None
        self.lost_at: int | None = None
        self._least, self._since, self._section = math.inf, 0, 0
        self._kept_at, self._pause = time.monotonic(), _SECONDS
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: Any) -> None:
        """Give SIGTERM back to who had it: Lightning's own handler ends each of several processes at another step, so
        that the others wait for it."""
        if self._on_sigterm is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Write the checkpoint if it is time; stop if somebody asks, with what has been learnt so far."""
        asked = self._should_stop()
        if not _any(trainer, asked or self._is_due()):
            return
        # After an epoch's last step comes the look at watched pictures, which what is kept before it would pass over.
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch or trainer.global_step >= trainer.max_steps:
            return
        if not _is_finite(pl_module):
            trainer.should_stop = True
            return
        self._write(trainer)
        if _any(trainer, asked):
            raise Cancelled("stopped")

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if somebody asks and much is still to be looked at; else the epoch's end comes, and all is kept."""
        is_last = trainer.fit_loop.epoch_loop.val_loop.batch_progress.is_last_batch
        if not is_last and _any(trainer, self._should_stop()):
            raise Cancelled("stopped")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the best state so far."""
        if trainer.sanity_checking or not isinstance(pl_module, Lesson) or not self._patience:
            return
        section = _section(pl_module, trainer.global_step - 1)
        if section != self._section:
            self._section, self._least, self._since, self.best = section, math.inf, 0, None
        loss = float(trainer.callback_metrics.get(LOSS, math.inf))
        if loss < self._least:
            self._least, self._since = loss, 0
            self.best = {key: value.detach().cpu().clone() for key, value in pl_module.taught.state_dict().items()}
        else:
            self._since += 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint; end if nothing gets better any more, or if nothing can."""
        is_last = trainer.global_step >= trainer.max_steps > 0
        in_last_section = isinstance(pl_module, Lesson) and self._section == _section(pl_module, trainer.max_steps - 1)
        if not _is_finite(pl_module):
            self.lost_at, trainer.should_stop = trainer.global_step, True
            self.best = self.best if in_last_section else None
            return
        if self._patience and self._since >= self._patience and in_last_section and not is_last:
            trainer.should_stop = True
        asked, due = _any(trainer, self._should_stop()), _any(trainer, self._is_due())
        is_early = isinstance(pl_module, Lesson) and trainer.global_step <= 2 * pl_module.course.epoch_steps
        if asked or due or trainer.should_stop or is_last or is_early:
            self._write(trainer)
        if asked:
            raise Cancelled("stopped")

    def _is_due(self) -> bool:
        return time.monotonic() - self._kept_at >= self._pause

    def _write(self, trainer: pl.Trainer) -> None:
        begun = time.monotonic()
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        self._kept_at = time.monotonic()
        self._pause = max(_SECONDS, (self._kept_at - begun) / _SHARE)

    def state_dict(self) -> dict[str, Any]:
        """Return what a later process has to know."""
        return {"best": self.best, "least": self._least, "since": self._since, "section": self._section}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an earlier process knew."""
        self.best, self._least = state_dict["best"], state_dict["least"]
        self._since, self._section = state_dict["since"], state_dict["section"]


def _any(trainer: pl.Trainer, here: bool) -> bool:
    """Whether it is so in one of the processes that learn together."""
    return bool(trainer.strategy.reduce_boolean_decision(here, all=False))


def _is_finite(module: pl.LightningModule) -> bool:
    values = [value for value in module.state_dict().values() if value.is_floating_point()]
    return bool(torch.stack([value.isfinite().all() for value in values]).all())  # a GPU is asked once


def _section(lesson: Lesson, step: int) -> int:
    """Return how many times, up to that step, a rate or another adversary has begun."""
    number, _ = lesson.course.stage_at(step)
    begun, radius = 0, 0.0
    for stage in lesson.recipe.stages[: number + 1]:
        if stage.epochs:
            begun += bool(stage.rate) or stage.robust_radius != radius
            radius = stage.robust_radius
    return begun
