"""A training's checkpoint: written whole or not at all after every round, so that the same command goes on from it."""

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
                f"the training cannot be kept at the moment ({cause}); it goes on, and this is tried again. Make room."
            )


class Keeping(pl.Callback):
    """Keeps the last state of a training in ``folder``, the state of the least loss on watched pictures in itself, and
    ends the training after ``patience`` looks without a lesser one.

    At the end :attr:`best` holds the weights to use. An adversarial part makes another network on purpose, whose loss
    is higher; so looking for the least begins anew with every stage that has a rate.
    """

    def __init__(self, folder: Path, patience: int, should_stop: Callable[[], bool]) -> None:
        self.folder, self._patience, self._should_stop = folder, patience, should_stop
        self.best: dict[str, Tensor] | None = None
        self._least, self._since, self._section = math.inf, 0, 0
        self._kept_at = time.monotonic()
        self.ended_early = False
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: Any) -> None:
        """Give SIGTERM back to who had it: Lightning's own handler ends each of several processes at another step, so
        that the others wait for it."""
        if self._on_sigterm is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if somebody asks."""
        self._stop_if_asked(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if somebody asks."""
        self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._should_stop(), all=False):
            raise Cancelled("stopped")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the best state so far."""
        if trainer.sanity_checking or not isinstance(pl_module, Lesson) or not self._patience:
            return
        section = _section(pl_module, trainer.global_step)
        if section != self._section:
            self._section, self._least, self._since = section, math.inf, 0
        loss = float(trainer.callback_metrics.get(LOSS, math.inf))
        if loss < self._least:
            self._least, self._since = loss, 0
            self.best = {key: value.detach().cpu().clone() for key, value in pl_module.taught.state_dict().items()}
        else:
            self._since += 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint, and end if nothing gets better any more."""
        is_last = trainer.global_step >= trainer.max_steps > 0
        last_section = isinstance(pl_module, Lesson) and self._section == _section(pl_module, trainer.max_steps - 1)
        if self._patience and self._since >= self._patience and last_section and not is_last:
            self.ended_early = trainer.should_stop = True
        due = trainer.strategy.reduce_boolean_decision(time.monotonic() - self._kept_at >= _SECONDS, all=False)
        if due or trainer.should_stop or is_last or trainer.global_step <= 2 * _round(pl_module):
            self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        self._kept_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what a later process has to know."""
        return {"best": self.best, "least": self._least, "since": self._since, "section": self._section}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an earlier process knew."""
        self.best, self._least = state_dict["best"], state_dict["least"]
        self._since, self._section = state_dict["since"], state_dict["section"]


def _round(module: pl.LightningModule) -> int:
    return module.course.round_steps if isinstance(module, Lesson) else 0


def _section(lesson: Lesson, step: int) -> int:
    """Return how many stages with a rate have begun by then."""
    number, _ = lesson.course.stage_at(step)
    return sum(1 for stage in lesson.recipe.stages[: number + 1] if stage.rate and stage.epochs)
