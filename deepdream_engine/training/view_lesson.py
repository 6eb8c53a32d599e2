"""What pictures without labels teach: to know each of them again in another view (VICReg).

Bardes, Ponce and LeCun 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning". Two
views of one picture are to be alike; what keeps everything from becoming alike is that each number varies over the
batch, and that no two of them say the same. It needs neither large batches nor a second network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepdream_engine.training.lesson import Lesson

_WIDTH = 512
_ALIKE, _VARIED, _DIFFERENT = 25.0, 25.0, 1.0
_SPREAD = 1.0
_SHARPNESS = 0.1


class ViewLesson(Lesson):
    """Teaches a network without a head, whose output is expanded for the loss alone."""

    views = (2,)

    def __init__(self, network: nn.Module, *given: Any, **named: Any) -> None:
        super().__init__(network, *given, **named)
        side = self.course.largest_px
        with torch.no_grad():
            features = self.scores(network.eval(), torch.zeros(1, 3, side, side)).shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            self.expander = nn.Sequential(
                nn.Linear(features, _WIDTH, bias=False),
                nn.BatchNorm1d(_WIDTH),
                nn.ReLU(),
                nn.Linear(_WIDTH, _WIDTH, bias=False),
                nn.BatchNorm1d(_WIDTH),
                nn.ReLU(),
                nn.Linear(_WIDTH, _WIDTH, bias=False),
            )

    def loss(self, pictures: Tensor, _labels: Tensor) -> Tensor:
        """Return the loss of two views of each picture, ``(N, 2, 3, H, W)``."""
        one, other = pairs(self.expander(self(pictures.flatten(0, 1))))  # (N, D) each
        with torch.autocast(pictures.device.type, enabled=False):  # sums over the batch want all digits
            return vicreg(one.float(), other.float())

    def watched(self, pictures: Tensor, _labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return how unsure it is which other view belongs to each of them, and the part that finds it."""
        alike = likenesses(*pairs(self.scores(self.taught, pictures.flatten(0, 1))))
        unsure = functional.cross_entropy(alike / _SHARPNESS, torch.arange(len(alike), device=alike.device))
        return unsure, nearest(alike)[0] / len(alike)


def pairs(said: Tensor) -> tuple[Tensor, Tensor]:
    """Return what was said ``(2N, D)`` of the first views and of the other ones, which took turns."""
    return said[0::2], said[1::2]


def vicreg(one: Tensor, other: Tensor) -> Tensor:
    """Return the loss of the two views' numbers ``(N, D)``."""
    loss = _ALIKE * functional.mse_loss(one, other)
    for each in (one, other):
        spread = (each.var(dim=0, correction=0) + 1e-4).sqrt()
        loss = loss + _VARIED / 2 * functional.relu(_SPREAD - spread).mean()
        centred = each - each.mean(dim=0)
        together = centred.T @ centred / max(1, len(each) - 1)  # (D, D)
        loss = loss + _DIFFERENT * (together.square().sum() - together.diagonal().square().sum()) / each.shape[1]
    return loss


def likenesses(one: Tensor, other: Tensor) -> Tensor:
    """Return how alike each of ``one`` is to each of ``other``, ``(N, N)`` in [-1, 1]: cosines, after what all have in
    common is taken away."""
    both = torch.cat([one, other])
    middle, spread = both.mean(dim=0), both.std(dim=0, correction=0).clamp_min(1e-6)
    return (
        functional.normalize((one - middle) / spread, dim=1) @ functional.normalize((other - middle) / spread, dim=1).T
    )


def nearest(alike: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many of the first views find their other one nearest, and how many among the five nearest."""
    closer = (alike > alike.diagonal()[:, None]).sum(dim=1)
    return (closer == 0).sum(), (closer < 5).sum()
