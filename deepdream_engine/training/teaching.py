"""From a :class:`~deepdream_engine.training.task.Task` to a taught network in a folder: read, learn, measure, write.

The same task goes on with what was stopped.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption, Cancelled
from deepdream_engine.training.card import CARD, Card
from deepdream_engine.training.finishing import published
from deepdream_engine.training.listing import Listing, Sample, list_pictures
from deepdream_engine.training.recipe import TrainingRecipe
from deepdream_engine.training.splitting import check_enough, split
from deepdream_engine.training.task import Subject, Task, Watcher
from deepdream_engine.training.trainer import check_task, make_trainer, quiet, workers
from deepdream_engine.training.unfinished import (
    CHECKPOINT,
    UNFINISHED,
    alone,
    check_plan,
    clear,
    is_helper,
    step_of,
)

if TYPE_CHECKING:
    from torch import nn

    from deepdream_engine.training.course import Course
    from deepdream_engine.training.lesson import Lesson

_LOOK_AT_ALL = 5_000


def teach(task: Task, watcher: Watcher) -> Card | None:
    """Teach, and return the card; ``None`` in processes that only help another one.

    Raises ``BadOption`` for what the user can mend, ``Cancelled`` when ``watcher`` says so.
    """
    if (task.folder / CARD).exists() and not task.replace:
        raise BadOption(
            f"there is a model {task.name!r} already, in {str(task.folder)!r}. Give the new one another name (--name), "
            f"or let it take the old one's place (--replace)."
        )
    check_task(task)
    labels = task.recipe.goal == "classes"
    listing, apart = list_pictures(task.place, labels=labels)
    check_enough(listing, labels=labels)
    unfinished = task.folder / UNFINISHED
    task.folder.mkdir(parents=True, exist_ok=True)
    with alone(unfinished, task):
        if task.restart:
            clear(unfinished)
        return _taught(task, listing, apart, watcher)


def _taught(task: Task, listing: Listing, apart: Listing | None, watcher: Watcher) -> Card | None:
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    from deepdream_engine.training.course import Course
    from deepdream_engine.training.data import Lessons, Pictures, shorter_side
    from deepdream_engine.training.keeping import Keeping
    from deepdream_engine.training.telling import Telling

    unfinished, recipe, subject = task.folder / UNFINISHED, task.recipe, task.subject
    side = max(subject.side_px, subject.min_side_px)
    _check_sides(recipe, subject)
    module, head, base_sha256 = _begun(task, len(listing.classes))
    if not is_helper():
        check_plan(task, listing, apart, base_sha256)
    shorter = shorter_side(max(stage.side_px or side for stage in recipe.stages if stage.epochs))
    whole = Pictures(listing, listing.samples, recipe, shorter)
    if len(listing.samples) <= _LOOK_AT_ALL:
        whole.read_all(watcher.looking)  # undecodable ones of more are told of when they are met
        listing = _without_repeats(listing.without(whole.faults.items()))
    parts = split(listing, apart, recipe.held_out, labels=recipe.goal == "classes")
    training = whole.part(listing, parts.training)
    watched = None
    if parts.watched:
        watched = (
            whole.part(listing, parts.watched) if apart is None else Pictures(apart, parts.watched, recipe, shorter)
        )
    course = Course(recipe, len(training), side)
    lesson = _lesson(module, course, head, subject)
    keeping = Keeping(unfinished, recipe.patience if watched else 0, watcher.should_stop)
    checkpoint = unfinished / CHECKPOINT
    since = time.monotonic()
    with quiet():
        callbacks = [keeping, Telling(watcher.standing)]
        trainer = make_trainer(task, course, callbacks, unfinished, watcher.troubled)
        resumed = step_of(checkpoint)
        if trainer.is_global_zero:
            watcher.begun(parts, listing, resumed)
        lessons = Lessons(training, watched, course, workers(task, trainer))
        try:
            trainer.fit(lesson, lessons, ckpt_path=checkpoint if resumed else None, weights_only=True)
        except SIGTERMException:  # Lightning's own, of a signal before the first step: it would end without a word
            raise Cancelled("stopped") from None
        except RuntimeError as error:  # such as that another process which learns along has ended a step sooner
            if watcher.should_stop():
                raise Cancelled("stopped") from error
            raise
    if not trainer.is_global_zero:
        return None
    _check_learnt(lesson)
    return published(
        task=task,
        parts=parts,
        listing=listing,
        apart=apart,
        lesson=lesson,
        keeping=keeping,
        before=None if listing.classes else _begun(task, 0)[0].eval(),
        base_sha256=base_sha256,
        seconds=time.monotonic() - since,
        watcher=watcher,
    )


def _begun(task: Task, classes: int) -> tuple[nn.Module, str, str]:
    """Return the network as it begins, the same whenever it is asked."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.recipe.seed)
        return task.subject.load(classes, task.recipe.start)


def _lesson(module: nn.Module, course: Course, head: str, subject: Subject) -> Lesson:
    from deepdream_engine.training.class_lesson import ClassLesson
    from deepdream_engine.training.view_lesson import ViewLesson

    kind = ClassLesson if course.recipe.goal == "classes" else ViewLesson
    lesson = kind(module, course, head=head, mean=_mean(module, subject), std=_std(module, subject))
    lesson.leave_out_idle()
    return lesson


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


def _mean(module: nn.Module, subject: Subject) -> tuple[float, ...]:
    return tuple(getattr(module, "pixel_mean", subject.mean))


def _std(module: nn.Module, subject: Subject) -> tuple[float, ...]:
    return tuple(getattr(module, "pixel_std", subject.std))


def _check_learnt(lesson: Lesson) -> None:
    import torch

    if not all(bool(torch.isfinite(each).all()) for each in lesson.taught.parameters()):
        raise BadOption(
            "the training went out of bounds: weights are no numbers any more. Lower the rate, such as "
            "--set stages.0.rate=0.01, and add --restart."
        )
