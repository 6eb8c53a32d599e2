"""A network that has learnt becomes a model: its weights saved, measured on pictures held out, told of on a card."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine import __version__
from deepdream_engine.training.card import WEIGHTS, Card, write_card
from deepdream_engine.training.listing import Listing
from deepdream_engine.training.splitting import Parts
from deepdream_engine.training.task import Task, Watcher
from deepdream_engine.training.unfinished import keep_metrics

if TYPE_CHECKING:
    from torch import nn

    from deepdream_engine.training.keeping import Keeping
    from deepdream_engine.training.lesson import Lesson

_ROBUST_OF = 1_000


def published(
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
    keep_metrics(task.folder)
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
