"""A network that has learnt becomes a model: its weights saved, measured on pictures held out, told of on a card."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine import __version__
from deepdream_engine.errors import DeepDreamError
from deepdream_engine.training.card import CARD, WEIGHTS, Card, write_card
from deepdream_engine.training.listing import Listing
from deepdream_engine.training.measuring import known_again, recognised
from deepdream_engine.training.splitting import Parts
from deepdream_engine.training.task import Task, Watcher
from deepdream_engine.training.unfinished import UNFINISHED, clear, keep_metrics
from deepdream_engine.training.whole import whole

if TYPE_CHECKING:
    from torch import nn

    from deepdream_engine.training.lesson import Lesson

LEFT_OUT = "left-out.txt"


def published(
    *,
    task: Task,
    parts: Parts,
    listing: Listing,
    apart: Listing | None,
    lesson: Lesson,
    taught: nn.Module,
    before: nn.Module | None,
    base_sha256: str,
    seconds: float,
    watcher: Watcher,
) -> Card:
    """Return the card of the model that is there from now on, whose network is ``taught``. ``before`` is the network as
    it was, if it is to be compared. Raises ``DeepDreamError`` if there is no room, and the training goes on from its
    checkpoint later."""
    subject, course = task.subject, lesson.course
    content = packed(taught)
    looked, told = listing if apart is None else apart, watcher.measuring
    if before is None:
        proof = recognised(task, taught, looked, parts, course=course, told=told)
    else:
        proof = known_again(task, taught, looked, parts, before=before, course=course, told=told)
    late = [*lesson.faults.items(), *proof.unreadable]
    watcher.unreadable(list(dict(late).items()))
    left_out = dict([*listing.left_out, *(apart.left_out if apart else ()), *late])
    sha256 = hashlib.sha256(content).hexdigest()
    card = Card(
        name=task.name,
        architecture=subject.architecture,
        base=subject.base if task.recipe.start == "weights" else "",
        base_sha256=base_sha256,
        classes=listing.classes,
        counts=_counts(parts, max(1, len(listing.classes))),
        pictures_sha256=listing.digest(),
        left_out=len(left_out),
        side_px=course.side_at(course.steps - 1),
        min_side_px=subject.min_side_px,
        mean=subject.mean,
        std=subject.std,
        default_tap=subject.default_tap,
        aliases=dict(subject.aliases),
        held_out=proof.held_out,
        right=proof.right,
        right5=proof.right5,
        right_by_class=proof.right_by_class,
        held_out_by_class=proof.held_out_by_class,
        robust=proof.robust,
        robust_of=proof.robust_of,
        robust_radius=proof.robust_radius,
        right_before=proof.right_before,
        # Beside the old one's: the card, which names its file, makes the new one take its place in one step.
        weights=f"weights-{sha256[:16]}.safetensors" if (task.folder / CARD).exists() else WEIGHTS,
        epochs=round(lesson.trainer.global_step / course.epoch_steps, 2),
        seconds=round(seconds, 1),
        sha256=sha256,
        made_with=f"deepdream {__version__}",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=task.recipe.to_dict(),
    )
    try:
        _write(card, content, task.folder)
    except OSError as error:
        raise DeepDreamError(
            f"the model cannot be written into {str(task.folder)!r} ({error.strerror or error}). Make room; the same "
            f"command goes on where the training was kept last."
        ) from error
    _tidy(card, task.folder, left_out)
    return card


def _write(card: Card, content: bytes, folder: Path) -> None:
    with whole(folder / card.weights) as file:
        file.write(content)
    write_card(card, folder)


def _tidy(card: Card, folder: Path, left_out: dict[str, str]) -> None:
    """Put what is worth to be kept beside the model, and remove the rest."""
    with contextlib.suppress(OSError):  # the model is there, with or without its notes
        keep_metrics(folder)
        (folder / LEFT_OUT).unlink(missing_ok=True)
        if left_out:
            lines = [f"{name}\t{why}\n".encode("utf-8", "backslashreplace") for name, why in left_out.items()]
            (folder / LEFT_OUT).write_bytes(b"".join(lines))
    for path in folder.glob("weights*.safetensors*"):
        if path.name != card.weights:
            path.unlink(missing_ok=True)
    clear(folder / UNFINISHED)


def packed(module: nn.Module) -> bytes:
    """Return the weights as a safetensors file: matrices and kernels in half precision, which ``module`` has then
    too, all else as it is."""
    import torch
    from safetensors.torch import save

    state: dict[str, Any] = {}
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            kept = tensor.detach().cpu().contiguous()
            half = kept.half() if kept.ndim > 1 and kept.dtype == torch.float32 else kept
            if half is not kept and bool(torch.isfinite(half).all()):
                tensor.copy_(half.float())
                kept = half
            state[name] = kept.clone()
    return save(state)


def _counts(parts: Parts, classes: int) -> tuple[tuple[int, int, int], ...]:
    found = [[0, 0, 0] for _ in range(classes)]
    for place, samples in enumerate((parts.training, parts.watched, parts.held_out)):
        for sample in samples:
            found[sample.label][place] += 1
    return tuple((each[0], each[1], each[2]) for each in found)
