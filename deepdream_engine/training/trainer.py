"""Lightning's trainer as a task wants it: devices, precision, log, workers, and nothing told but by us."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_engine.training.task import Task

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from deepdream_engine.training.course import Course


def check_task(task: Task) -> None:
    """Raise ``BadOption`` for what this machine lacks, before any picture is read."""
    _devices(task)
    if task.log == "tensorboard" and find_spec("tensorboard") is None:
        raise BadOption(
            "--log tensorboard: TensorBoard is not installed. Install it: pip install 'deepdream-daemon[tensorboard]', "
            "or leave --log out, and the figures are kept as CSV."
        )


def _devices(task: Task) -> tuple[str, list[int] | int]:
    """Return the kind of devices and which of them, or how many processes on the CPU."""
    from deepdream_engine.device import device_names

    names = device_names(task.device)
    kind = names[0].partition(":")[0]
    there: list[int] | int = [int(name.partition(":")[2]) for name in names] if kind == "cuda" else 1
    if task.devices is None:
        return kind, there[: task.recipe.batch // 2] if isinstance(there, list) else there
    if task.devices > task.recipe.batch // 2:
        raise BadOption(
            f"--devices {task.devices}: a batch of {task.recipe.batch} is shared among them, two pictures for each at "
            f"least. Use fewer, or a larger one: --set batch={2 * task.devices}"
        )
    if kind != "cpu" and task.devices > len(names):
        raise BadOption(f"--devices {task.devices}: of {kind!r}, this machine has {len(names)}.")
    return kind, there[: task.devices] if isinstance(there, list) else task.devices


def make_trainer(
    task: Task, course: Course, callbacks: list[pl.Callback], folder: Path, troubled: Callable[[str], None]
) -> pl.Trainer:
    """Return the trainer; ``troubled`` hears of what it outlives."""
    import pytorch_lightning as pl

    from deepdream_engine.device import Device, device_names
    from deepdream_engine.training.figures import Events, Table
    from deepdream_engine.training.keeping import Checkpoints

    kind, devices = _devices(task)
    precision = task.recipe.precision
    if precision == "auto":
        precision = "fp32" if kind == "mps" or Device(device_names(task.device)[0]).lacks("bf16") else "bf16"
    return pl.Trainer(
        accelerator=kind,
        devices=devices,
        strategy="ddp" if processes(task) > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_steps=course.steps,
        gradient_clip_val=task.recipe.clip or None,
        max_epochs=-1,
        callbacks=callbacks,
        plugins=[Checkpoints(troubled)],
        logger=(Events if task.log == "tensorboard" else Table)(folder, troubled),
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def processes(task: Task) -> int:
    """Return how many processes of this machine learn together: one for each device."""
    _, devices = _devices(task)
    return len(devices) if isinstance(devices, list) else devices


def workers(task: Task) -> int:
    """Return how many processes read pictures for each process that learns; 0: it reads them itself."""
    if task.workers is not None:
        return task.workers
    if _devices(task)[0] == "cpu":
        return 0  # they would take the cores that the network computes with
    return max(1, min(8, ((os.cpu_count() or 1) - 1) // processes(task)))


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
