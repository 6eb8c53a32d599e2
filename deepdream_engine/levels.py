"""The levels of one channel: a fine histogram that knows each bin's mean, small whatever the picture's size.

From it follow the mean, the contrast and the distribution, also of what the channel would be after a change of contrast
and brightness with clipping, without another look at the picture. Sums are of integers, so they are the same in every
run on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.float64]

_BINS = 2**16  # a 256th of an 8-bit level each
_UNITS = 2**32  # of the values' integers: finer than float32 above 1/256, and sums of 2**30 of them fit
CHUNK = 2**20  # values at a time


@dataclass(frozen=True)
class Levels:
    """``means`` are those of the bins that have values, rising, in [0, 1]; ``shares`` are the bins' shares of all
    values, and add up to 1."""

    means: Values
    shares: Values

    @classmethod
    def of(cls, plane: Tensor) -> Levels:
        """Count a channel ``(H, W)`` in [0, 1]."""
        if plane.device.type == "mps":  # which has no float64
            plane = plane.cpu()
        counts = torch.zeros(_BINS, dtype=torch.int64, device=plane.device)
        sums = torch.zeros_like(counts)
        for part in chunks(plane):
            units = part.clamp(0, 1).double().mul_(_UNITS).long().flatten()
            bins = (units // (_UNITS // _BINS)).clamp_(max=_BINS - 1)
            counts += torch.bincount(bins, minlength=_BINS)
            sums.index_add_(0, bins, units)
        held = counts.nonzero()[:, 0]
        count, total = (numbers[held].cpu().numpy().astype(np.float64) for numbers in (counts, sums))
        return cls(means=total / count / _UNITS, shares=count / plane.numel())

    @property
    def mean(self) -> float:
        """The channel's mean."""
        return float(self.shares @ self.means)

    @property
    def contrast(self) -> float:
        """The channel's standard deviation."""
        return float(np.sqrt(self.shares @ (self.means - self.mean) ** 2))

    def ranks(self) -> Values:
        """Return the share of values below each bin, and 1 at the end: one entry more than there are bins."""
        ranks: Values = np.concatenate([[0.0], np.cumsum(self.shares)])
        ranks /= ranks[-1]
        return ranks

    def means_between(self, ranks: Values) -> Values:
        """Return the mean of the values whose ranks lie between each of ``ranks`` (rising, 0 to 1) and the next."""
        own = self.ranks()
        sums = np.interp(ranks, own, np.concatenate([[0.0], np.cumsum(np.diff(own) * self.means)]))
        lowest, highest = self.means[0], self.means[-1]
        # A difference of sums over a very small share of the values can leave their range by rounding.
        between: Values = np.clip(np.diff(sums) / np.diff(ranks), lowest, highest)
        return between


class Stretched:
    """What ``levels`` become when multiplied by a gain, shifted, and clipped to [0, 1]."""

    def __init__(self, levels: Levels) -> None:
        self._means = levels.means
        moments: list[Any] = [levels.shares * levels.means**power for power in range(3)]
        self._sums = [np.concatenate([[0.0], np.cumsum(moment)]) for moment in moments]

    def mean(self, gain: float, shift: float) -> float:
        """Return the mean of ``clip(gain * value + shift)``."""
        inside, above = self._clipped(gain, shift)
        return gain * inside[1] + shift * inside[0] + above

    def contrast(self, gain: float, shift: float) -> float:
        """Return the standard deviation of ``clip(gain * value + shift)``."""
        inside, above = self._clipped(gain, shift)
        square = gain * gain * inside[2] + 2 * gain * shift * inside[1] + shift * shift * inside[0] + above
        return float(np.sqrt(max(0.0, square - self.mean(gain, shift) ** 2)))

    def _clipped(self, gain: float, shift: float) -> tuple[list[float], float]:
        """Return the sums of the values' powers over those that are not clipped, and the share of those above 1."""
        low, high = np.searchsorted(self._means, [-shift / gain, (1 - shift) / gain])
        total = self._sums[0][-1]
        return [float(sums[high] - sums[low]) for sums in self._sums], float(total - self._sums[0][high])


def chunks(plane: Tensor) -> tuple[Tensor, ...]:
    """Return ``(H, W)`` as bands of rows of about ``CHUNK`` values."""
    return torch.split(plane, max(1, CHUNK // plane.shape[1]))
