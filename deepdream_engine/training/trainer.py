"""Lightning's trainer as a task wants it: devices, precision, log, workers, and nothing told but by us."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption
from deepdream_engine.training.task import Task

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from deepdream_engine.training.data import Course


def make_trainer(task: Task, course: Course, callbacks: list[pl.Callback], folder: Path) -> pl.Trainer:
    import pytorch_lightning as pl
    from pytorch_lightning.strategies import DDPStrategy

    from deepdream_engine.device import Device, device_names

    names = device_names(task.device)
    kind = names[0].partition(":")[0]
    devices: list[int] | int = [int(name.partition(":")[2]) for name in names] if kind == "cuda" else 1
    if task.devices is not None:
        if kind == "cuda" and task.devices > len(names):
            raise BadOption(f"--devices {task.devices}: this machine has {len(names)} of {kind}.")
        devices = task.devices if not isinstance(devices, list) else devices[: task.devices]
    many = (len(devices) if isinstance(devices, list) else devices) > 1
    precision = task.recipe.precision
    if precision == "auto":
        precision = "fp32" if kind == "mps" or Device(names[0]).lacks("bf16") else "bf16"
    return pl.Trainer(
        accelerator=kind,
        devices=devices,
        strategy=DDPStrategy(find_unused_parameters=True) if many else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_steps=course.steps,
        gradient_clip_val=task.recipe.clip or None,
        max_epochs=-1,
        callbacks=callbacks,
        logger=_logger(task.log, folder),
        check_val_every_n_epoch=course.rounds_an_epoch,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def _logger(kind: str, folder: Path) -> Any:
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

    if kind == "csv":
        return CSVLogger(folder, name="logs")
    try:
        return TensorBoardLogger(folder, name="logs")
    except ModuleNotFoundError:
        raise BadOption("--log tensorboard: it is not installed. Install it: pip install tensorboard") from None


def workers(task: Task, trainer: pl.Trainer) -> int:
    if task.workers is not None:
        return task.workers
    cores = os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu":
        return 0  # they would take the cores that the network computes with
    return max(1, min(8, (cores - 1) // max(1, trainer.num_devices)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning from telling about itself; what matters is told by others here."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
