"""What a taught network can do with pictures that were held out: recognise their classes, or know each again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_engine.training.listing import Listing
from deepdream_engine.training.splitting import Parts
from deepdream_engine.training.task import Task

if TYPE_CHECKING:
    from torch import nn

    from deepdream_engine.training.course import Course
    from deepdream_engine.training.evaluation import Judge

_ROBUST_OF = 1_000
_PAIRS_OF = 1_000
_BATCH = 32

Told = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """As on the card: see :class:`~deepdream_engine.training.card.Card`; ``unreadable`` are pictures that could not be
    looked at."""

    held_out: int
    right: int
    right5: int
    right_by_class: tuple[int, ...] = ()
    held_out_by_class: tuple[int, ...] = ()
    robust: int = 0
    robust_of: int = 0
    robust_radius: float = 0.0
    right_before: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()


def recognised(task: Task, taught: nn.Module, listing: Listing, parts: Parts, *, course: Course, told: Told) -> Proof:
    """Count whose class is recognised, also after an adversarial step."""
    side = course.side_at(course.steps - 1)
    radius = 0.5 * side / 64
    measured = _judge(task, taught).measure(
        listing, parts.held_out, side_px=side, robust_radius=radius, robust_of=_ROBUST_OF, told=told
    )
    by_class = [measured.by_class.get(label, (0, 0)) for label in range(len(listing.classes))]
    return Proof(
        held_out=measured.of,
        right=measured.right,
        right5=measured.right5,
        right_by_class=tuple(right for right, _ in by_class),
        held_out_by_class=tuple(of for _, of in by_class),
        robust=measured.robust,
        robust_of=measured.robust_of,
        robust_radius=radius,
        unreadable=measured.unreadable,
    )


def known_again(
    task: Task,
    taught: nn.Module,
    listing: Listing,
    parts: Parts,
    *,
    before: nn.Module,
    course: Course,
    told: Told,
) -> Proof:
    """Count whose other view is the nearest of all: one and the same two views for the network as it was ``before``."""
    import torch

    from deepdream_engine.training.data import Fault, Pictures, plain_looks, shorter_side, stacked
    from deepdream_engine.training.view_lesson import likenesses, nearest, pairs

    every = -(-len(parts.held_out) // _PAIRS_OF)
    samples = parts.held_out[::every]
    pictures = Pictures(listing, samples, task.recipe, shorter_side(course.largest_px))
    judges = [_judge(task, network) for network in (taught, before)]
    found: list[list[torch.Tensor]] = [[], []]
    faults: list[Fault] = []
    for looks in plain_looks(len(samples), course.side_at(course.steps - 1), task.recipe.goal, _BATCH):
        batch = stacked([pictures[look] for look in looks])
        faults += batch.faults
        for judge, kept in zip(judges, found, strict=True):
            if len(batch.labels):
                with torch.no_grad():
                    kept.append(judge.scores(batch.pictures.flatten(0, 1)).cpu())
        told(looks[-1].place + 1, len(samples))
    if not found[0]:
        return Proof(held_out=0, right=0, right5=0, unreadable=tuple(faults))
    after, earlier = (nearest(likenesses(*pairs(torch.cat(kept)))) for kept in found)
    return Proof(
        held_out=sum(map(len, found[0])) // 2,
        right=int(after[0]),
        right5=int(after[1]),
        right_before=int(earlier[0]),
        unreadable=tuple(faults),
    )


def _judge(task: Task, network: nn.Module) -> Judge:
    from deepdream_engine.device import Device, device_names
    from deepdream_engine.records import Network
    from deepdream_engine.training.evaluation import Judge

    subject = task.subject
    known = Network(
        key=(task.name, id(network)),
        name=task.name,
        load=lambda: network,
        mean=subject.mean,
        std=subject.std,
        min_side_px=subject.min_side_px,
    )
    return Judge(known, Device(device_names(task.device)[0]))
