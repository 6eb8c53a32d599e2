"""How well a network recognises pictures: as the engine runs it for dreaming, folded and packed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from deepdream_engine.device import Device
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.network import LOGITS, LoadedNetwork, TappedNetwork
from deepdream_engine.records import Network
from deepdream_engine.training.listing import Listing, Sample
from deepdream_engine.training.reading import read_small

_BATCH = 32
_Z95 = 1.96


@dataclass(frozen=True, kw_only=True)
class Measured:
    """``right`` and ``right5`` of ``of`` pictures were recognised at the first guess, and among five. ``robust`` of
    ``robust_of`` were still, after an adversarial step. ``by_class`` is ``(right, of)`` for each number of a class
    that has pictures, ``mistakes`` how often a class was taken for another: ``(true, taken for, times)``, most first.
    ``unreadable`` are pictures that could not be looked at."""

    of: int
    right: int
    right5: int
    robust: int
    robust_of: int
    by_class: dict[int, tuple[int, int]]
    mistakes: tuple[tuple[int, int, int], ...]
    unreadable: tuple[tuple[str, str], ...]

    @property
    def interval(self) -> tuple[float, float]:
        """Between which values the accuracy lies with 95 % certainty, as so few pictures can tell."""
        return wilson(self.right, self.of)


class Judge:
    """Looks at pictures with a network on a device."""

    def __init__(self, network: Network, device: Device) -> None:
        self.device = device
        loaded = LoadedNetwork(network)
        self._tapped = TappedNetwork(loaded, (LOGITS,)).on(device, "fp32")
        self.weights_sha256 = loaded.weights_sha256

    def scores(self, pictures: Tensor) -> Tensor:
        """Return class scores ``(N, K)`` of pictures ``(N, 3, H, W)`` in [0, 1]."""
        with self.device.autocast("fp32"):
            scores: Tensor = self._tapped(self.device.place(pictures))[LOGITS]
            return scores.float()

    def measure(
        self,
        listing: Listing,
        samples: Sequence[Sample],
        *,
        side_px: int,
        resize_px: int | None = None,
        robust_radius: float = 0.0,
        robust_of: int = 0,
        told: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> Measured:
        """Look at the middle ``side_px`` square of every sample, shrunk so that its shorter side is ``resize_px``.

        The first ``robust_of`` of an even spread are looked at once more, changed by an adversarial step.
        """
        right = right5 = robust = of = attacked = 0
        by_class: dict[int, list[int]] = {}
        mistaken: dict[tuple[int, int], int] = {}
        unreadable: list[tuple[str, str]] = []
        every = max(1, math.ceil(len(samples) / robust_of)) if robust_of else 0
        for pictures, labels, places in self._batches(listing, samples, side_px, resize_px or side_px, unreadable):
            with torch.no_grad():
                scores = self.scores(pictures).cpu()
            if of == 0 and int(max(each.label for each in samples)) >= scores.shape[1]:
                raise BadOption(
                    f"the network tells {scores.shape[1]} classes apart, but pictures have classes up to number "
                    f"{max(each.label for each in samples)}. Choose the pictures that it was made for."
                )
            ranked = scores.topk(min(5, scores.shape[1]), dim=1).indices
            hits = ranked == labels[:, None]
            right += int(hits[:, 0].sum())
            right5 += int(hits.any(dim=1).sum())
            for label, guess in zip(labels.tolist(), ranked[:, 0].tolist(), strict=True):
                count = by_class.setdefault(label, [0, 0])
                count[0] += label == guess
                count[1] += 1
                if label != guess:
                    mistaken[label, guess] = mistaken.get((label, guess), 0) + 1
            of += len(labels)
            if every and (chosen := [row for row, place in enumerate(places) if place % every == 0]):
                robust += self._robust(pictures[chosen], labels[chosen], robust_radius)
                attacked += len(chosen)
            told(of + len(unreadable), len(samples))
        return Measured(
            of=of,
            right=right,
            right5=right5,
            robust=robust,
            robust_of=attacked,
            by_class={label: (counts[0], counts[1]) for label, counts in sorted(by_class.items())},
            mistakes=tuple((*pair, times) for pair, times in sorted(mistaken.items(), key=lambda each: -each[1])),
            unreadable=tuple(unreadable),
        )

    def _robust(self, pictures: Tensor, labels: Tensor, radius: float) -> int:
        """Return how many are recognised after one gradient step of L2 length ``radius`` against their class."""
        given = self.device.place(pictures).requires_grad_(True)
        loss = functional.cross_entropy(self.scores(given), self.device.place(labels), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, given)
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        with torch.no_grad():
            scores = self.scores((given + gradient * (radius / length)).clamp(0, 1))
        return int((scores.argmax(1).cpu() == labels).sum())

    @staticmethod
    def _batches(
        listing: Listing, samples: Sequence[Sample], side: int, resize: int, unreadable: list[tuple[str, str]]
    ) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
        views: list[Tensor] = []
        labels: list[int] = []
        places: list[int] = []
        for place, sample in enumerate(samples):
            try:
                views.append(centre(read_small(listing.read(sample), resize), side, resize))
            except (BadPicture, OSError) as error:
                unreadable.append((sample.name, str(error)))
            else:
                labels.append(sample.label)
                places.append(place)
            if views and (len(views) == _BATCH or place == len(samples) - 1):
                yield torch.stack(views), torch.tensor(labels), places
                views, labels, places = [], [], []
        if views:
            yield torch.stack(views), torch.tensor(labels), places


def centre(picture: Tensor, side_px: int, resize_px: int) -> Tensor:
    """Return the middle square of uint8 ``(3, H, W)`` in [0, 1], after its shorter side has become ``resize_px``."""
    if min(picture.shape[1:]) != resize_px:
        picture = v2.functional.resize(picture, [resize_px], antialias=True)
    square: Tensor = v2.functional.center_crop(picture, [side_px, side_px])
    return as_floats(square)


def as_floats(picture: Tensor) -> Tensor:
    """Return uint8 pixels as floats in [0, 1]."""
    return picture.float() / 255


def wilson(right: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share that was counted (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    share, z2 = right / of, _Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)
