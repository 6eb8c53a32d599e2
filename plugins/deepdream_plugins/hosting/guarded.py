"""The functions of a recipe's plugins as the engine calls them: guarded, and what they give back looked at.

Only types and shapes are looked at: they are known to the host, so none of this waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_plugins.hosting.guarding import Guard

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from deepdream_engine.activations import Activations, Look
    from deepdream_engine.records import Step


def scored(guard: Guard, score: Callable[[Activations], object], activations: Activations) -> Tensor:
    """Return the scores ``(N,)`` of an objective."""
    import torch

    found = guard.call(score, activations)
    pixels = getattr(activations, "pixels", None)  # whoever tries out an objective may give a plain dict
    some = next(iter(activations.values())) if pixels is None else pixels
    pictures = some.shape[0]
    if not isinstance(found, torch.Tensor):
        raise guard.failure(f"returned {type(found).__name__}; score must return a tensor of shape (N,).")
    if found.shape != (pictures,):
        raise guard.failure(
            f"returned a score of shape {tuple(found.shape)} for {pictures} pictures, not ({pictures},); reduce over "
            f"everything but the first dimension, as in seen.flatten(1).mean(dim=1)."
        )
    if not found.is_floating_point():
        raise guard.failure(f"returned a score of {found.dtype}; it must be floating-point numbers.")
    if not found.requires_grad and some.requires_grad:
        raise guard.failure(
            "returned a score that has no gradient: it was made without the activations, or detached from them by "
            ".detach(), .item(), .round(), a comparison or torch.no_grad()."
        )
    return found


def prepared(guard: Guard, prepare: Callable[[Look], object], look: Look) -> dict[str, Tensor]:
    """Return what an objective knows of one picture, by name."""
    import torch

    found = guard.call(prepare, look)
    if not isinstance(found, Mapping):
        raise guard.failure(f"returned {type(found).__name__}; prepare must return a dict of tensors by name.")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise guard.failure(f"prepared {name!r}: {type(tensor).__name__}; prepare must return tensors by name.")
    return dict(found)


@dataclass(frozen=True)
class Direction:
    """An ascent of a recipe; see ``deepdream_engine.records.Ascent``."""

    guard: Guard
    function: Callable[..., Any]

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Whose it is."""
        return (self.guard,)

    def __call__(self, gradient: Tensor, state: dict[str, Tensor], step: Step) -> Tensor:
        import torch

        shape = gradient.shape
        found: object = self.guard.call(self.function, gradient, state, step)
        if not isinstance(found, torch.Tensor):
            raise self.guard.failure(f"returned {type(found).__name__}; direction must return a tensor.")
        if found.shape != shape:
            raise self.guard.failure(
                f"returned the shape {tuple(found.shape)} for a gradient of shape {tuple(shape)}; keep it."
            )
        return found


@dataclass(frozen=True)
class View:
    """A transform of a recipe; see ``deepdream_engine.records.Transform``."""

    guard: Guard
    function: Callable[..., Any]

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Whose it is."""
        return (self.guard,)

    def __call__(self, picture: Tensor, generator: Generator) -> Tensor:
        import torch

        found: object = self.guard.call(self.function, picture, generator)
        if not isinstance(found, torch.Tensor):
            raise self.guard.failure(f"returned {type(found).__name__}; apply must return a tensor.")
        if found.ndim != 4 or found.shape[:2] != picture.shape[:2] or 0 in found.shape:
            raise self.guard.failure(
                f"returned the shape {tuple(found.shape)} for a picture of shape {tuple(picture.shape)}; only height "
                f"and width may change."
            )
        if picture.requires_grad and not found.requires_grad:
            raise self.guard.failure("returned a picture that has no gradient; use differentiable functions of torch.")
        return found


@dataclass(frozen=True)
class Loading:
    """How the network of a recipe is loaded; see ``deepdream_engine.records.Network``."""

    guard: Guard
    function: Callable[[Path | None], Any]
    weights: Path | None

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Whose it is."""
        return (self.guard,)

    def __call__(self) -> nn.Module:
        from torch import nn

        found: object = self.guard.call(self.function, self.weights)
        if not isinstance(found, nn.Module):
            raise self.guard.failure(f"returned {type(found).__name__}; load must return a torch.nn.Module.")
        return found
