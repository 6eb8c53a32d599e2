"""How a network learns: a Lightning module with averaged weights and adversarial parts.

:class:`~deepdream_engine.training.class_lesson.ClassLesson` and
:class:`~deepdream_engine.training.view_lesson.ViewLesson` say what.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from deepdream_engine.training.course import Course
from deepdream_engine.training.data import Batch
from deepdream_engine.training.heads import logits_of

LOSS, ACCURACY = "watched_loss", "watched_accuracy"

_BASE_PX = 64
_STEP = 1.25
"""The step of the adversary, of its radius: a little too far, and back to the sphere."""


class Lesson(pl.LightningModule, ABC):
    """Teaches ``network``, which gets pictures in [0, 1] normalised by ``mean`` and ``std``.

    ``taught`` is what comes of it: the averaged weights, or the network itself without averaging. ``head`` is the path
    of the classifier. ``faults`` are pictures that could not be read meanwhile, with the reasons.
    """

    mean: Tensor
    std: Tensor
    views: tuple[int, ...] = ()
    """How many views of a picture are shown at once, as a shape."""

    def __init__(
        self,
        network: nn.Module,
        course: Course,
        *,
        head: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.network = network.requires_grad_(True)
        self.course, self.recipe, self._head = course, course.recipe, head
        self.averaged = copy.deepcopy(network).eval().requires_grad_(False) if self.recipe.average else None
        self.faults: dict[str, str] = {}
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @abstractmethod
    def loss(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of pictures ``(…, 3, H, W)`` in [0, 1]."""

    @abstractmethod
    def watched(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of what is taught on watched pictures, and the part of them that it gets right."""

    def leave_out_idle(self) -> None:
        """Have no part learn that the loss does not depend on, such as an auxiliary classifier.

        It would only decay, and several processes would wait for its gradients.
        """
        side = self.course.largest_px
        tried = copy.deepcopy(self).eval()  # which leaves its statistics and its mode as they are
        loss = tried.loss(torch.zeros(2, *self.views, 3, side, side), torch.zeros(2, dtype=torch.long))
        learning, its = ([each for each in lesson.parameters() if each.requires_grad] for lesson in (self, tried))
        for parameter, gradient in zip(learning, torch.autograd.grad(loss, its, allow_unused=True), strict=True):
            parameter.requires_grad_(gradient is not None)

    @property
    def taught(self) -> nn.Module:
        """What has been learnt so far."""
        return self.network if self.averaged is None else self.averaged

    def forward(self, pictures: Tensor) -> Tensor:
        """What the network says ``(N, K)`` of pictures ``(N, 3, H, W)`` in [0, 1]."""
        return self.scores(self.network, pictures)

    def scores(self, network: nn.Module, pictures: Tensor) -> Tensor:
        """What a network says of pictures."""
        normal = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return logits_of(network(normal)).float()

    def on_fit_start(self) -> None:
        """Lay the weights out as convolutions want them."""
        self.network.to(memory_format=torch.channels_last)

    def on_train_start(self) -> None:
        """Set what learns as it learns: from taught weights, batch norms go on with the statistics that they have."""
        if self.recipe.start == "weights":
            self.network.eval()
            for part in self.network.modules():
                if isinstance(part, nn.Dropout | nn.Dropout2d):
                    part.train()
        else:
            self.network.train()

    def on_train_batch_start(self, _batch: Any, _index: int) -> None:
        """Let chance depend on the step alone, and set the step's rate."""
        step = self.global_step
        torch.manual_seed(self.recipe.seed * 104_729 + step)
        rate = self.course.rate_at(step)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["share"]

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of one batch, of mistakable pictures in an adversarial stage."""
        pictures, labels, faults = batch
        self.faults.update(faults)
        if not len(labels):
            # Of several processes, each must have its part in every step, also one that could read nothing.
            return torch.stack([each.sum() * 0 for each in self.parameters() if each.requires_grad]).sum()
        radius = self._radius(self.global_step, pictures.shape[-1])
        if radius:
            pictures = mistakable(pictures, radius, lambda changed: self.loss(changed, labels))
        loss = self.loss(pictures, labels)
        self.log("loss", loss, batch_size=len(labels))
        return loss

    def optimizer_step(self, *given: Any, **named: Any) -> None:
        """Learn, and average the weights: both are done when a step's end is told, and may be kept together."""
        super().optimizer_step(*given, **named)
        if self.averaged is not None:
            self._average(self.averaged, self.global_step + 1)

    @torch.no_grad()
    def _average(self, averaged: nn.Module, steps: int) -> None:
        # The first steps are forgotten sooner, or untaught weights would stay in the average for long.
        keep = min(self.recipe.average, (1 + steps) / (10 + steps))
        for mine, new in zip(averaged.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(new, 1 - keep)
        for statistic, value in zip(averaged.buffers(), self.network.buffers(), strict=True):
            if statistic.is_floating_point():
                statistic.lerp_(value, 1 - keep)
            else:
                statistic.copy_(value)

    def _radius(self, step: int, side_px: int) -> float:
        """Return how far the adversary goes at a step, in pictures of that side; 0 if there is none."""
        return self.course.stage_at(step)[1].robust_radius * side_px / _BASE_PX

    def validation_step(self, batch: Batch, index: int) -> None:
        """Measure what is taught on watched pictures; its loss in an adversarial stage, on mistakable ones.

        There, the least loss on plain pictures would choose weights that the adversary has hardly touched. Rice, Wong
        and Kolter 2020, "Overfitting in adversarially robust deep learning".
        """
        pictures, labels, faults = batch
        self.faults.update(faults)
        if not len(labels):
            return
        self.taught.eval()
        loss, right = self.watched(pictures, labels)
        radius = self._radius(self.global_step - 1, pictures.shape[-1])
        if radius:
            torch.manual_seed(self.recipe.seed * 15_485_863 + index)  # the same at every look
            with torch.enable_grad():
                pictures = mistakable(pictures, radius, lambda changed: self.watched(changed, labels)[0])
            loss, _ = self.watched(pictures, labels)
        self.log(LOSS, loss, batch_size=len(labels), sync_dist=True)
        self.log(ACCURACY, right, batch_size=len(labels), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what could not be read."""
        checkpoint["faults"] = dict(self.faults)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what could not be read."""
        self.faults.update(checkpoint["faults"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Norms and biases are not decayed, and what is taught already learns slower."""
        recipe = self.recipe
        body = recipe.body_rate if recipe.start == "weights" else 1.0
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                is_body = name.startswith("network.") and not name.startswith(f"network.{self._head}.")
                decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((body if is_body else 1.0, decay), []).append(parameter)
        learning = [
            {"params": parameters, "share": share, "weight_decay": decay}
            for (share, decay), parameters in groups.items()
        ]
        rate = self.course.rate_at(0)
        if recipe.optimizer == "adamw":
            return torch.optim.AdamW(learning, lr=rate, betas=(recipe.momentum, 0.999))
        return torch.optim.SGD(learning, lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def mistakable(pictures: Tensor, radius: float, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the pictures ``(…, 3, H, W)`` after one gradient step of L2 length ``radius`` each, from a random start,
    which raises their ``loss``.

    Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", with a single step.
    """
    start = _of_length(torch.randn_like(pictures), radius)
    start *= torch.rand(*pictures.shape[:-3], 1, 1, 1, device=pictures.device)
    change = start.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss((pictures + change).clamp(0, 1)), change)
    change = _within(change.detach() + _of_length(gradient, _STEP * radius), radius)
    return (pictures + change).clamp(0, 1).detach()


def _of_length(x: Tensor, length: float) -> Tensor:
    """Return ``x`` ``(…, 3, H, W)`` with every picture of that L2 length."""
    return x * (length / _lengths(x))


def _within(x: Tensor, length: float) -> Tensor:
    return x * (length / _lengths(x)).clamp_max(1.0)


def _lengths(x: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(x, dim=(-3, -2, -1), keepdim=True)
    return lengths.clamp_min(1e-12)
