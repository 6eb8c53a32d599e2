"""From a :class:`Task` to a taught network in a folder: read, learn, measure, write.

The same task goes on with what was stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from deepdream_engine import __version__
from deepdream_engine.errors import BadOption
from deepdream_engine.training.card import CARD, WEIGHTS, Card, write_card
from deepdream_engine.training.listing import Listing, Sample, list_pictures
from deepdream_engine.training.recipe import TrainingRecipe
from deepdream_engine.training.splitting import Parts, check_enough, split

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch import nn

    from deepdream_engine.training.data import Course
    from deepdream_engine.training.keeping import Keeping
    from deepdream_engine.training.lesson import Lesson
    from deepdream_engine.training.telling import Standing

UNFINISHED = "training"
"""The folder inside the model's folder in which an unfinished training is kept."""

METRICS = "metrics.csv"

_LOOK_AT_ALL = 5_000
_ROBUST_OF = 1_000
_PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The network to teach: ``load(classes, start)`` returns it with a new classifier for so many classes, the path of
    that, and the digest of the weights that the rest has if it is taught already. ``base`` names those."""

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

    def looking(self, done: int, of: int) -> None:
        """Pictures are read for the first time."""

    def begun(self, parts: Parts, listing: Listing, resumed_step: int) -> None:
        """It is known what there is to learn from, and where it goes on."""

    def standing(self, standing: Standing) -> None:
        """A step is done."""

    def measuring(self, done: int, of: int) -> None:
        """Held-out pictures are looked at."""

    def should_stop(self) -> bool:
        """Whether to end now; the same task goes on later."""
        return False


def teach(task: Task, watcher: Watcher) -> Card | None:
    """Teach, and return the card; ``None`` in processes that only help another one.

    Raises ``BadOption`` for what the user can mend, ``Cancelled`` when ``watcher`` says so.
    """
    if (task.folder / CARD).exists() and not task.replace:
        raise BadOption(
            f"there is a model {task.name!r} already, in {str(task.folder)!r}. Give the new one another name (--name), "
            f"or let it take the old one's place (--replace)."
        )
    listing, apart = list_pictures(task.place)
    check_enough(listing)
    unfinished = task.folder / UNFINISHED
    unfinished.mkdir(parents=True, exist_ok=True)
    with _alone(unfinished, task):
        if task.restart:
            _clear(unfinished)
        return _taught(task, listing, apart, watcher)


def _taught(task: Task, listing: Listing, apart: Listing | None, watcher: Watcher) -> Card | None:
    from deepdream_engine.training.data import Course, Lessons, Pictures, shorter_side
    from deepdream_engine.training.keeping import CHECKPOINT, Keeping
    from deepdream_engine.training.lesson import Lesson
    from deepdream_engine.training.telling import Telling

    unfinished, recipe, subject = task.folder / UNFINISHED, task.recipe, task.subject
    side = max(subject.side_px, subject.min_side_px)
    _check_sides(recipe, subject)
    module, head, base_sha256 = subject.load(len(listing.classes), recipe.start)
    _check_plan(task, listing, apart, base_sha256)
    shorter = shorter_side(max(stage.side_px or side for stage in recipe.stages if stage.epochs))
    whole = Pictures(listing, listing.samples, recipe, shorter)
    if len(listing.samples) <= _LOOK_AT_ALL:
        whole.read_all(watcher.looking)
        listing = _without_repeats(listing.without(whole.faults.items()))
    parts = split(listing, apart, recipe.held_out)
    training = whole.part(listing, parts.training)
    watched = None
    if parts.watched:
        watched = (
            whole.part(listing, parts.watched) if apart is None else Pictures(apart, parts.watched, recipe, shorter)
        )
    course = Course(recipe, len(training), side)
    lesson = Lesson(module, course, head=head, mean=_mean(module, subject), std=_std(module, subject))
    keeping = Keeping(unfinished, recipe.patience if watched else 0, watcher.should_stop)
    checkpoint = unfinished / CHECKPOINT
    since = time.monotonic()
    with _quiet():
        trainer = _trainer(task, course, [keeping, Telling(watcher.standing)], unfinished)
        resumed = _step_of(checkpoint)
        if trainer.is_global_zero:
            watcher.begun(parts, listing, resumed)
        lessons = Lessons(training, watched, course, _workers(task, trainer))
        trainer.fit(lesson, lessons, ckpt_path=checkpoint if resumed else None, weights_only=True)
    if not trainer.is_global_zero:
        return None
    _check_learnt(lesson)
    return _published(
        task=task,
        parts=parts,
        listing=listing,
        apart=apart,
        lesson=lesson,
        keeping=keeping,
        base_sha256=base_sha256,
        seconds=time.monotonic() - since,
        watcher=watcher,
    )


def _published(
    *,
    task: Task,
    parts: Parts,
    listing: Listing,
    apart: Listing | None,
    lesson: Lesson,
    keeping: Keeping,
    base_sha256: str,
    seconds: float,
    watcher: Watcher,
) -> Card:
    from deepdream_engine.device import Device, device_names
    from deepdream_engine.records import Network
    from deepdream_engine.training.evaluation import Judge

    subject, course = task.subject, lesson.course
    taught = lesson.taught.cpu().eval()
    if keeping.best is not None:
        taught.load_state_dict(keeping.best)
    part = task.folder / f"{WEIGHTS}.part"
    sha256 = save_weights(taught, part)
    network = Network(
        key=(task.name, sha256),
        name=task.name,
        load=lambda: taught,  # as it was saved: save_weights has rounded it
        mean=subject.mean,
        std=subject.std,
        min_side_px=subject.min_side_px,
    )
    judge = Judge(network, Device(device_names(task.device)[0]))
    side = course.side_at(course.steps - 1)
    radius = 0.5 * side / 64
    measured = judge.measure(
        listing if apart is None else apart,
        parts.held_out,
        side_px=side,
        robust_radius=radius,
        robust_of=_ROBUST_OF,
        told=watcher.measuring,
    )
    by_class = [measured.by_class.get(label, (0, 0)) for label in range(len(listing.classes))]
    card = Card(
        name=task.name,
        architecture=subject.architecture,
        base=subject.base if task.recipe.start == "weights" else "",
        base_sha256=base_sha256,
        classes=listing.classes,
        counts=_counts(parts, len(listing.classes)),
        pictures_sha256=listing.digest(),
        left_out=len(listing.left_out) + len(measured.unreadable),
        side_px=side,
        min_side_px=subject.min_side_px,
        mean=subject.mean,
        std=subject.std,
        default_tap=subject.default_tap,
        aliases=dict(subject.aliases),
        held_out=measured.of,
        right=measured.right,
        right5=measured.right5,
        right_by_class=tuple(right for right, _ in by_class),
        held_out_by_class=tuple(of for _, of in by_class),
        robust=measured.robust,
        robust_of=measured.robust_of,
        robust_radius=radius,
        epochs=round(lesson.trainer.global_step / course.epoch_steps, 2),
        seconds=round(seconds, 1),
        sha256=sha256,
        made_with=f"deepdream {__version__}",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=task.recipe.to_dict(),
    )
    os.replace(part, task.folder / WEIGHTS)  # noqa: PTH105  (of one name to another)
    write_card(card, task.folder)
    _keep_metrics(task.folder)
    return card


def save_weights(module: nn.Module, path: Path) -> str:
    """Save the weights as safetensors and return the file's SHA-256: matrices and kernels in half precision, which
    ``module`` has then too, all else as it is."""
    import torch
    from safetensors.torch import save

    state = {}
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            kept = tensor.detach().cpu().contiguous()
            half = kept.half() if kept.ndim > 1 and kept.dtype == torch.float32 else kept
            if half is not kept and bool(torch.isfinite(half).all()):
                tensor.copy_(half.float())
                kept = half
            state[name] = kept.clone()
    content = save(state)
    path.write_bytes(content)  # not save_file, whose files only their owner can read
    return hashlib.sha256(content).hexdigest()


def _counts(parts: Parts, classes: int) -> tuple[tuple[int, int, int], ...]:
    found = [[0, 0, 0] for _ in range(classes)]
    for place, samples in enumerate((parts.training, parts.watched, parts.held_out)):
        for sample in samples:
            found[sample.label][place] += 1
    return tuple((each[0], each[1], each[2]) for each in found)


def _without_repeats(listing: Listing) -> Listing:
    """Leave out files that are there twice: one to learn from and one to be measured by would be no proof."""
    sizes: dict[int, list[Sample]] = {}
    for sample in listing.samples:
        sizes.setdefault(sample.size, []).append(sample)
    faults = []
    for samples in sizes.values():
        seen: dict[str, Sample] = {}
        for sample in samples if len(samples) > 1 else ():
            content = hashlib.sha256(listing.read(sample)).hexdigest()
            if content in seen:
                faults.append((sample, f"the same picture as {seen[content].name!r}"))
            seen.setdefault(content, sample)
    return listing.without(faults)


def _check_sides(recipe: TrainingRecipe, subject: Subject) -> None:
    for index, stage in enumerate(recipe.stages):
        if stage.side_px and stage.side_px < subject.min_side_px:
            raise BadOption(
                f"stages.{index}.side_px: {stage.side_px}: {subject.architecture!r} needs pictures of "
                f"{subject.min_side_px} pixels at least."
            )


def _check_plan(task: Task, listing: Listing, apart: Listing | None, base_sha256: str) -> None:
    """Go on only with what was begun with the same pictures and recipe."""
    plan: dict[str, Any] = {
        "pictures": listing.digest(),
        "held-out pictures": None if apart is None else apart.digest(),
        "model": [task.subject.architecture, task.subject.base, base_sha256],
        "recipe": task.recipe.to_dict(),
    }
    path = task.folder / UNFINISHED / _PLAN
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        path.write_text(json.dumps(plan, indent=1), encoding="utf-8")
        return
    changed = [key for key in plan if begun.get(key) != plan[key]]
    if changed:
        raise BadOption(
            f"a training of {task.name!r} was begun with other {' and '.join(changed)}. Undo that to go on with it, "
            f"drop it with --restart, or give this one another name (--name)."
        )


@contextlib.contextmanager
def _alone(folder: Path, task: Task) -> Iterator[None]:
    """Let nobody else train into the same folder; helpers of this process may."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        yield
        return
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadOption(
            f"another command is training {task.name!r} at the moment. Wait for it, or --name another."
        ) from None
    try:
        yield
        finished = (task.folder / CARD).exists() and not (folder / _PLAN).exists()
    except BaseException:
        lock.release()
        raise
    lock.release()
    if finished:
        shutil.rmtree(folder, ignore_errors=True)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _keep_metrics(folder: Path) -> None:
    """Keep the log beside the model; the rest of the training is not needed any more."""
    unfinished = folder / UNFINISHED
    logs = sorted(unfinished.glob("logs/**/*.csv"))
    if logs:
        rows = logs[0].read_text(encoding="utf-8")
        more = [log.read_text(encoding="utf-8").partition("\n")[2] for log in logs[1:]]
        (folder / METRICS).write_text(rows + "".join(more), encoding="utf-8")
    for path in list(unfinished.glob("logs/**/events.*")):
        (folder / "tensorboard").mkdir(exist_ok=True)
        os.replace(path, folder / "tensorboard" / path.name)  # noqa: PTH105  (of one name to another)
    _clear(unfinished)


def _trainer(task: Task, course: Course, callbacks: list[pl.Callback], folder: Path) -> pl.Trainer:
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


def _workers(task: Task, trainer: pl.Trainer) -> int:
    if task.workers is not None:
        return task.workers
    cores = os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu":
        return 0  # they would take the cores that the network computes with
    return max(1, min(8, (cores - 1) // max(1, trainer.num_devices)))


def _mean(module: nn.Module, subject: Subject) -> tuple[float, ...]:
    return tuple(getattr(module, "pixel_mean", subject.mean))


def _std(module: nn.Module, subject: Subject) -> tuple[float, ...]:
    return tuple(getattr(module, "pixel_std", subject.std))


def _step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was made at; 0 if there is none that can be read."""
    import torch

    if not checkpoint.exists():
        return 0
    try:
        step = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    except Exception as error:  # an unpickler that is fed with anything else raises anything
        raise BadOption(f"{str(checkpoint)!r} cannot be read ({error}); --restart begins again without it.") from error
    return int(step)


def _check_learnt(lesson: Lesson) -> None:
    import torch

    if not all(bool(torch.isfinite(each).all()) for each in lesson.taught.parameters()):
        raise BadOption(
            "the training went out of bounds: weights are no numbers any more. Lower the rate, such as "
            "--set stages.0.rate=0.01, and add --restart."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
