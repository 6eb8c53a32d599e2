"""How a network learns: one Lightning module with averaged weights, smoothed labels and an adversarial part."""

from __future__ import annotations

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepdream_engine.training.data import Course
from deepdream_engine.training.heads import logits_of

LOSS, ACCURACY = "watched_loss", "watched_accuracy"

_BASE_PX = 64
_STEP = 1.25
"""The step of the adversary, of its radius: a little too far, and back to the sphere."""


class Lesson(pl.LightningModule):
    """Teaches ``network``, which gets pictures in [0, 1] normalised by ``mean`` and ``std``.

    ``taught`` is what comes of it: the averaged weights, or the network itself without averaging. ``head`` is the path
    of the classifier.
    """

    mean: Tensor
    std: Tensor

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
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def taught(self) -> nn.Module:
        """What has been learnt so far."""
        return self.network if self.averaged is None else self.averaged

    def forward(self, pictures: Tensor) -> Tensor:
        """Class scores ``(N, K)`` of pictures ``(N, 3, H, W)`` in [0, 1]."""
        return self._scores(self.network, pictures)

    def _scores(self, network: nn.Module, pictures: Tensor) -> Tensor:
        normal = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return logits_of(network(normal)).float()

    def on_fit_start(self) -> None:
        """Lay the weights out as convolutions want them."""
        self.network.to(memory_format=torch.channels_last)

    def on_train_epoch_start(self) -> None:
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

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor | None:
        """Return the loss of one batch, of mistakable pictures in an adversarial stage."""
        pictures, labels = batch
        if not len(labels):
            return None
        radius = self.course.stage_at(self.global_step)[1].robust_radius
        if radius:
            pictures = self._mistakable(pictures, labels, radius * pictures.shape[-1] / _BASE_PX)
        loss = self._loss(self(pictures), labels)
        self.log("loss", loss)
        return loss

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)

    def _mistakable(self, pictures: Tensor, labels: Tensor, radius: float) -> Tensor:
        """Return the pictures after one gradient step of L2 length ``radius`` from a random start.

        Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", with a single step.
        """
        start = _of_length(torch.randn_like(pictures), radius) * torch.rand(len(pictures), 1, 1, 1, device=self.device)
        change = start.detach().requires_grad_(True)
        loss = self._loss(self._scores(self.network, (pictures + change).clamp(0, 1)), labels)
        (gradient,) = torch.autograd.grad(loss, change)
        change = _within(change.detach() + _of_length(gradient, _STEP * radius), radius)
        return (pictures + change).clamp(0, 1).detach()

    def on_train_batch_end(self, _outputs: Any, _batch: Any, _index: int) -> None:
        """Average the weights."""
        if self.averaged is not None:
            self._average(self.averaged)

    @torch.no_grad()
    def _average(self, averaged: nn.Module) -> None:
        # The first steps are forgotten sooner, or untaught weights would stay in the average for long.
        keep = min(self.recipe.average, (1 + self.global_step) / (10 + self.global_step))
        for mine, new in zip(averaged.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(new, 1 - keep)
        for statistic, value in zip(averaged.buffers(), self.network.buffers(), strict=True):
            if statistic.is_floating_point():
                statistic.lerp_(value, 1 - keep)
            else:
                statistic.copy_(value)

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Measure what is taught on watched pictures."""
        pictures, labels = batch
        if not len(labels):
            return
        scores = self._scores(self.taught.eval(), pictures)
        self.log(LOSS, functional.cross_entropy(scores, labels), batch_size=len(labels), sync_dist=True)
        right = (scores.argmax(1) == labels).float().mean()
        self.log(ACCURACY, right, batch_size=len(labels), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Norms and biases are not decayed, and what is taught already learns slower."""
        recipe = self.recipe
        body = recipe.body_rate if recipe.start == "weights" else 1.0
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            share = 1.0 if name.startswith(f"{self._head}.") else body
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
        learning = [
            {"params": parameters, "share": share, "weight_decay": decay}
            for (share, decay), parameters in groups.items()
        ]
        rate = self.course.rate_at(0)
        if recipe.optimizer == "adamw":
            return torch.optim.AdamW(learning, lr=rate, betas=(recipe.momentum, 0.999))
        return torch.optim.SGD(learning, lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def _of_length(x: Tensor, length: float) -> Tensor:
    """Return ``x`` ``(N, 3, H, W)`` with every picture of that L2 length."""
    return x * (length / _lengths(x))


def _within(x: Tensor, length: float) -> Tensor:
    return x * (length / _lengths(x)).clamp_max(1.0)


def _lengths(x: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return lengths.clamp_min(1e-12).view(-1, 1, 1, 1)
