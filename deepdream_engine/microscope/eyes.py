"""What a network sees in pictures, without gradients: the activations at some of its taps, many pictures at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepdream_engine.network import LOGITS
from deepdream_engine.records import Network, Objective, Program

if TYPE_CHECKING:
    from deepdream_engine.engine import Engine

_PASS_PX = 1 << 19
"""Pictures that are looked at together have at most so many pixels, or it is one picture."""


class Eyes:
    """``network``'s activations at ``taps``, on ``engine``'s device, in float32. Raises ``UnknownTap``."""

    def __init__(self, engine: Engine, network: Network, taps: Sequence[str]) -> None:
        objective = Objective(key=("seen", tuple(taps)), taps=tuple(taps), score=_nothing)
        self._device = engine.device
        self._tapped = engine.network(Program(network=network, objective=objective), "fp32")
        self.weights_sha256 = self._tapped.weights_sha256

    def see(self, pictures: Tensor) -> Iterator[Mapping[str, Tensor]]:
        """Yield the activations by tap, on the device, of ``pictures`` ``(N, 3, H, W)`` in [0, 1]: of a few after the
        other, as many as pass together, since those of all would need gigabytes."""
        together = max(1, _PASS_PX // (pictures.shape[2] * pictures.shape[3]))
        for part in torch.split(pictures, together):
            with torch.no_grad(), self._device.arithmetic("fp32"):
                seen = self._tapped(self._device.place(part.float()))
            yield seen

    def means(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the mean of every channel over each picture, ``(N, C)`` by tap, on the CPU."""
        found: dict[str, list[Tensor]] = {}
        for seen in self.see(pictures):
            for tap, values in seen.items():
                found.setdefault(tap, []).append(channel_means(values).cpu())
        return {tap: torch.cat(values) for tap, values in found.items()}


class Classifier:
    """The evidence ``(N, K)`` that ``network``'s output has for each of its classes."""

    def __init__(self, engine: Engine, network: Network) -> None:
        self._eyes = Eyes(engine, network, (LOGITS,))

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the logits of ``pictures`` ``(N, 3, H, W)``."""
        return self._eyes.means(pictures)[LOGITS]


def channel_means(seen: Tensor) -> Tensor:
    """Return ``(N, C)`` of activations ``(N, C, h, w)``, or those themselves if they have no places."""
    return seen.mean(dim=(2, 3)) if seen.ndim == 4 else seen


def sample(count: int, most: int | None, seed: int = 0) -> list[int]:
    """Return ``most`` of the numbers below ``count`` in their order, or all; a larger sample contains every smaller."""
    if most is None or most >= count:
        return list(range(count))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:most].tolist())


def nothing_in_particular(count: int, side_px: int, seed: int = 0) -> Tensor:
    """Return pictures ``(count, 3, side, side)`` of nothing: noise whose frequencies are as strong as in photos."""
    random = torch.Generator().manual_seed(seed)
    spectrum = torch.randn(count, 3, side_px, side_px // 2 + 1, 2, generator=random)
    frequency = torch.hypot(torch.fft.fftfreq(side_px)[:, None], torch.fft.rfftfreq(side_px)).clamp_min(1 / side_px)
    waves = torch.fft.irfft2(torch.view_as_complex(spectrum) / frequency, s=(side_px, side_px))
    waves = waves / waves.std(dim=(1, 2, 3), keepdim=True)
    level = torch.rand(count, 3, 1, 1, generator=random) * 0.6 + 0.2
    pictures: Tensor = (level + 0.12 * waves).clamp_(0, 1)
    return pictures


def _nothing(activations: Mapping[str, Tensor], _options: Mapping[str, object]) -> Tensor:
    return next(iter(activations.values())).new_zeros(1)
