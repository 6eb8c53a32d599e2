"""From a :class:`~deepdream_engine.training.task.Task` to a taught network in a folder: read, learn, measure, write.

The same task goes on with what was stopped.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption, Cancelled
from deepdream_engine.training.card import CARD, Card
from deepdream_engine.training.finishing import published
from deepdream_engine.training.listing import Listing, list_pictures
from deepdream_engine.training.recipe import TrainingRecipe
from deepdream_engine.training.splitting import check_enough, split
from deepdream_engine.training.task import Subject, Task, Watcher
from deepdream_engine.training.trainer import check_task, make_trainer, processes, quiet, workers
from deepdream_engine.training.unfinished import (
    CHECKPOINT,
    UNFINISHED,
    alone,
    check_plan,
    clear,
    is_helper,
    step_of,
)
from deepdream_engine.training.usable import usable

if TYPE_CHECKING:
    from torch import nn

    from deepdream_engine.training.course import Course
    from deepdream_engine.training.keeping import Keeping
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
    listing, apart = list_pictures(
        task.place, labels=labels, told=lambda done, of: watcher.looking("finding", done, of)
    )
    check_enough(listing, labels=labels)
    unfinished = task.folder / UNFINISHED
    task.folder.mkdir(parents=True, exist_ok=True)
    with alone(unfinished, task):
        if task.restart and not is_helper():  # by then there is a plan, of the process that it helps
            clear(unfinished)
        return _taught(task, listing, apart, watcher)


def _taught(task: Task, listing: Listing, apart: Listing | None, watcher: Watcher) -> Card | None:
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    from deepdream_engine.training.course import Course
    from deepdream_engine.training.data import Lessons, Pictures, shorter_side
    from deepdream_engine.training.keeping import Keeping
    from deepdream_engine.training.telling import Telling

    unfinished, recipe = task.folder / UNFINISHED, task.recipe
    _check_sides(recipe, task.subject)
    module, head, base_sha256 = _begun(task, len(listing.classes))
    task = dataclasses.replace(task, subject=_as_it_is(task.subject, module))
    side = max(task.subject.side_px, task.subject.min_side_px)
    if not is_helper():
        check_plan(task, listing, apart, base_sha256)
    shorter = shorter_side(max(stage.side_px or side for stage in recipe.stages if stage.epochs))
    whole = Pictures(listing, listing.samples, recipe, shorter, processes=processes(task))
    listing = usable(whole, apart, ahead=len(listing.samples) <= _LOOK_AT_ALL, looking=watcher.looking)
    parts = split(listing, apart, recipe.held_out, labels=recipe.goal == "classes", is_chosen=recipe.patience > 0)
    readers = workers(task) + 1 if workers(task) else 1  # one for those that are watched
    training = whole.part(listing, parts.training, readers=readers)
    watched = None
    if parts.watched:
        watched = whole.part(listing, parts.watched, readers=readers)
        if apart is not None and not recipe.patience:
            watched = Pictures(apart, parts.watched, recipe, shorter, processes=processes(task) * readers)
    course = Course(recipe, len(training), side)
    lesson = _lesson(module, course, head, task.subject)
    keeping = Keeping(unfinished, recipe.patience if watched else 0, watcher.should_stop)
    checkpoint = unfinished / CHECKPOINT
    since = time.monotonic()
    with quiet():
        callbacks = [keeping, Telling(watcher.standing)]
        trainer = make_trainer(task, course, callbacks, unfinished, watcher.troubled)
        resumed = step_of(checkpoint)
        if trainer.is_global_zero:
            watcher.begun(parts, listing, resumed)
        lessons = Lessons(training, watched, course, workers(task))
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
    taught = _learnt(lesson, keeping, watcher)
    return published(
        task=task,
        parts=parts,
        listing=listing,
        apart=apart,
        lesson=lesson,
        taught=taught,
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
    lesson = kind(module, course, head=head, mean=subject.mean, std=subject.std)
    lesson.leave_out_idle()
    return lesson


def _check_sides(recipe: TrainingRecipe, subject: Subject) -> None:
    for index, stage in enumerate(recipe.stages):
        if stage.side_px and stage.side_px < subject.min_side_px:
            raise BadOption(
                f"stages.{index}.side_px: {stage.side_px}: {subject.architecture!r} needs pictures of "
                f"{subject.min_side_px} pixels at least."
            )


def _as_it_is(subject: Subject, module: nn.Module) -> Subject:
    """Return the subject with what the network itself says of the pictures that it wants."""
    mean: tuple[float, float, float] = tuple(getattr(module, "pixel_mean", subject.mean))
    std: tuple[float, float, float] = tuple(getattr(module, "pixel_std", subject.std))
    return dataclasses.replace(subject, mean=mean, std=std)


def _learnt(lesson: Lesson, keeping: Keeping, watcher: Watcher) -> nn.Module:
    """Return the network to use: as it was best, or as it is; raises ``BadOption`` if its weights are no numbers."""
    import torch

    taught = lesson.taught.cpu().eval()
    if keeping.best is not None:
        taught.load_state_dict(keeping.best)
    said = "the training went out of bounds: weights are no numbers any more"
    if keeping.lost_at is not None:
        said += f" after step {keeping.lost_at}"
    if not all(bool(torch.isfinite(each).all()) for each in taught.state_dict().values()):
        raise BadOption(f"{said}. {_slower(lesson.course, keeping.lost_at)} --restart")
    if keeping.lost_at is not None:
        slower = _slower(lesson.course, keeping.lost_at)
        watcher.troubled(f"{said}. What was best before is used. {slower} --restart --replace")
    return taught


def _slower(course: Course, step: int | None) -> str:
    stages = course.recipe.stages
    last = course.steps if step is None else step
    number = max(each for each in range(course.stage_at(last - 1)[0] + 1) if stages[each].rate)
    return f"Lower the rate: --set stages.{number}.rate={stages[number].rate / 4:g}"
