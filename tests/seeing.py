"""What the tests of objectives share: a tiny network whose activations an objective scores, and the way from options to
a score that the engine goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepdream_engine.activations import Activations, Look
from deepdream_plugins.builtin import objectives
from deepdream_plugins.records import ObjectiveSpec

SPECS: Mapping[str, ObjectiveSpec] = {spec.name: spec for spec in objectives.deepdream_objectives()}
CHANNELS = 6
CLASSES = 5


def whole(pixels: Tensor) -> Tensor:
    """The frame of whole pictures without margins, ``(N, 2, 3)``."""
    sides = [[0, side, 0] for side in pixels.shape[2:]]
    return torch.tensor([sides] * len(pixels), dtype=pixels.dtype)


def given(pixels: Tensor, **taps: Tensor) -> Activations:
    """Activations made by hand, of whole pictures."""
    return Activations(by_tap=taps, pixels=pixels, frame=whole(pixels))


@dataclass(frozen=True)
class Eye:
    """A network with the taps ``deep`` (``CHANNELS``, half the size) and ``logits`` (``CLASSES``).

    ``reach`` is the size of its kernel: with 1, what it sees in a window is what it sees there in the whole picture.
    """

    reach: int = 3

    def see(self, pixels: Tensor, *, frame: Tensor | None = None, source: Tensor | None = None) -> Activations:
        """Return what the network sees."""
        conv, head = self._layers(pixels)
        deep = functional.avg_pool2d(conv(pixels), 2).tanh()  # signed, so that weak and strong are far apart
        return Activations(
            by_tap={"deep": deep, "logits": head(deep.mean(dim=(2, 3)))},
            pixels=pixels,
            frame=whole(pixels) if frame is None else frame,
            source=source,
        )

    def look(self, picture: Tensor, guide: Tensor, seed: int = 0) -> Look:
        """Return the look at one picture ``(1, 3, H, W)``."""
        with torch.no_grad():
            return Look(
                activations=self.see(picture),
                guides={"guide": self.see(guide)},
                strength=unweighed,
                seed=seed,
            )

    def _layers(self, pixels: Tensor) -> tuple[nn.Module, nn.Module]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            conv = nn.Conv2d(3, CHANNELS, self.reach, padding=self.reach // 2)
            head = nn.Linear(CHANNELS, CLASSES)
        return tuple(layer.to(pixels).requires_grad_(False) for layer in (conv, head))  # type: ignore[return-value]


def arguments(
    spec: ObjectiveSpec, options: Sequence[Mapping[str, object]], looks: Sequence[Look], dtype: torch.dtype
) -> dict[str, object]:
    """Check and prepare the options of each picture; return what ``score`` gets: plain values that all have in common,
    and tensors ``(N, ...)``."""
    ready = []
    for chosen, look in zip(options, looks, strict=True):
        if spec.check is not None:
            spec.check({tap: tuple(seen.shape) for tap, seen in look.items()}, **chosen)
        ready.append({} if spec.prepare is None else spec.prepare(look, **chosen))
    result: dict[str, object] = {}
    for option in spec.options:
        if option.per_picture:
            values = torch.tensor([chosen[option.name] for chosen in options])
            result[option.name] = values.to(dtype) if values.is_floating_point() else values
        elif option.name in options[0]:
            result[option.name] = options[0][option.name]
    return result | {name: torch.stack([one[name] for one in ready]) for name in ready[0]}


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Activations in float64 from a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unweighed(score: Callable[[Activations], Tensor]) -> Tensor:
    """The strength of a look that no objective may ask for: weighing is for what composes them."""
    raise AssertionError(score)


def look_at(seen: Tensor, guide: Tensor | None = None, seed: int = 0) -> Look:
    """A look at activations made by hand, of the tap ``tap``."""
    return Look(
        activations=given(seen.new_zeros(1, 3, 16, 16), tap=seen),
        guides={} if guide is None else {"guide": {"tap": guide}},
        strength=unweighed,
        seed=seed,
    )


def scored(name: str, seen: Tensor, **options: Any) -> Tensor:
    """The score of activations made by hand, of whole pictures."""
    return SPECS[name].score(given(seen.new_zeros(len(seen), 3, 16, 16), tap=seen), layer="tap", **options)


def prepared(name: str, look: Look, **options: Any) -> dict[str, Tensor]:
    """What the objective prepares for one picture, as a batch of one."""
    prepare = SPECS[name].prepare
    assert prepare is not None
    return {key: value[None] for key, value in prepare(look, layer="tap", **options).items()}


def gradient_of(score: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The gradient of the scores' sum."""
    leaf = at.clone().requires_grad_()
    return torch.autograd.grad(score(leaf).sum(), leaf)[0]
