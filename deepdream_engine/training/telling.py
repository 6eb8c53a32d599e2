"""How far a training is, told to whoever shows it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from deepdream_engine.training.lesson import ACCURACY, Lesson


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a training stands: ``step`` of ``steps`` in epoch ``epoch`` of ``epochs``, pictures of ``side_px``, the
    loss, the accuracy on watched pictures if there is one yet, and the seconds that are left by the pace so far.
    ``is_epochs_end`` is for those who show a line for each."""

    step: int
    steps: int
    epoch: int
    epochs: int
    side_px: int
    is_robust: bool
    loss: float
    accuracy: float | None
    seconds_left: float
    is_epochs_end: bool = False


class Telling(pl.Callback):
    """Tells after every step, and at the end of every epoch."""

    def __init__(self, told: Callable[[Standing], None]) -> None:
        self._told = told
        self._begun_at: tuple[int, float] | None = None
        self._loss = math.nan

    def on_train_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Begin to measure the pace."""
        self._begun_at = (trainer.global_step, time.monotonic())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Tell of a step."""
        # Reading a value makes a GPU wait, so it is not done at every step.
        has_loss = isinstance(outputs, dict) and "loss" in outputs
        if has_loss and (pl_module.device.type == "cpu" or trainer.global_step % 10 == 1):
            value = float(outputs["loss"])
            self._loss = value if math.isnan(self._loss) else 0.9 * self._loss + 0.1 * value
        self._tell(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell of an epoch, not before the training went on."""
        if self._begun_at is not None and trainer.global_step > self._begun_at[0]:
            self._tell(trainer, pl_module, is_epochs_end=True)

    def _tell(self, trainer: pl.Trainer, module: pl.LightningModule, *, is_epochs_end: bool = False) -> None:
        if not trainer.is_global_zero or not isinstance(module, Lesson) or self._begun_at is None:
            return
        step, course = trainer.global_step, module.course
        since, then = self._begun_at
        done = max(1, step - since)
        accuracy = trainer.callback_metrics.get(ACCURACY)
        last = max(0, step - 1)
        self._told(
            Standing(
                step=step,
                steps=course.steps,
                epoch=last // course.epoch_steps + 1,
                epochs=course.steps // course.epoch_steps,
                side_px=course.side_at(last),
                is_robust=course.stage_at(last)[1].robust_radius > 0,
                loss=self._loss,
                accuracy=None if accuracy is None else float(accuracy),
                seconds_left=(time.monotonic() - then) / done * (course.steps - step),
                is_epochs_end=is_epochs_end,
            )
        )
