"""One pass: windows through the network to the objective, and the gradient of its score back to the windows.

A :class:`Runner` is a program made ready on a device. Everything in a pass has the windows' number ``N`` as its first
dimension, and no window's gradient depends on another window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from deepdream_engine.activations import Activations, Look
from deepdream_engine.capture import Captures
from deepdream_engine.device import Device
from deepdream_engine.dreaming import Way
from deepdream_engine.errors import BadOption
from deepdream_engine.network import TappedNetwork
from deepdream_engine.records import DreamJob, Program

LOOK_PX = 384
"""A picture is looked at with at most so many pixels, squared."""
GUIDE_PX = 256
"""A guide likewise. Google's notebook used guides of 224 pixels."""
_WEIGHED_PX = 160


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a pass gets: see :class:`~deepdream_engine.activations.Activations` for the shapes.

    ``options`` are the objective's per-picture options and what its ``prepare`` returned, ``(N, ...)`` each.
    """

    windows: Tensor
    frame: Tensor
    source: Tensor | None
    planes: Mapping[str, Tensor] = field(default_factory=dict)
    options: Mapping[str, Tensor] = field(default_factory=dict)


class Runner:
    """Computes gradients and scores of one program in one precision."""

    def __init__(
        self, program: Program, network: TappedNetwork, device: Device, precision: str, *, captures: Captures | None
    ) -> None:
        self.program = program
        self.network = network
        self.precision = precision
        self.dtype = device.dtype(precision)
        self.device = device.torch_device
        self._device = device
        self._captures = captures

    def gradient(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return the gradient ``(N, 3, H, W)`` of each window's score with respect to the window, and the scores
        ``(N,)``."""
        if self._captures is not None:
            return self._captures.run(self._gradient, inputs)
        return self._gradient(inputs)

    def _gradient(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        objective = self.program.objective
        windows = inputs.windows.detach().requires_grad_()
        with torch.enable_grad(), self._device.arithmetic(self.precision):
            activations = self._seen(windows, inputs)
            scores = objective.score(activations, {**objective.static, **inputs.options})  # (N,)
            # Windows share nothing, so the gradient of the sum is each window's own gradient.
            gradient = torch.autograd.grad(scores.sum(), windows)[0]
        return gradient, scores.detach()

    def _seen(self, windows: Tensor, inputs: Inputs) -> Activations:
        with self._device.autocast(self.precision):  # the network alone: scores are computed in full precision
            by_tap = self.network(windows)
        return Activations(
            by_tap=by_tap,
            pixels=windows,
            frame=inputs.frame,
            source=inputs.source,
            planes=inputs.planes,
        )

    def prepare(self, job: DreamJob, way: Way) -> Mapping[str, Tensor]:
        """Return what ``job`` adds to the inputs of a pass: its options and what its objective prepares, as tensors
        without a batch dimension. Raises what the objective refuses."""
        objective = self.program.objective
        options = {**objective.static, **job.options}
        tensors = {name: self._number(value) for name, value in job.options.items()}
        if objective.check is None and objective.prepare is None:
            return tensors
        look = self._look(way)
        if objective.check is not None:
            objective.check({tap: tuple(seen.shape) for tap, seen in look.items()}, options)
        if objective.prepare is not None:
            prepared = objective.prepare(look, options)
            tensors.update({name: self._device.place(value.detach()) for name, value in prepared.items()})
        return tensors

    def _number(self, value: float) -> Tensor:
        number = torch.tensor(value)
        return self._device.place(number.to(self.dtype) if number.is_floating_point() else number)

    def _look(self, way: Way) -> Look:
        job, planes = way.job, way.planes()
        # All in one, so that the planes are reduced and cropped as the picture is.
        whole = torch.cat([way.source(), *planes.values()], dim=1) if planes else way.source()
        seen = _reduced(whole, LOOK_PX, self.program.network.min_side_px)
        scale = max(seen.shape[2] / whole.shape[2], seen.shape[3] / whole.shape[3])
        inputs = replace(
            self.inputs_of(seen[:, :3], margin=way.margin * scale),
            planes={name: self._placed(seen[:, 3 + i : 4 + i]) for i, name in enumerate(planes)},
        )
        picture = inputs.windows

        def strength(score: Callable[[Activations], Tensor]) -> Tensor:
            windows = picture.detach().requires_grad_()
            with torch.enable_grad(), self._device.arithmetic(self.precision):
                total = score(self._seen(windows, inputs)).sum()
                (gradient,) = torch.autograd.grad(total, windows, allow_unused=True, materialize_grads=True)
            return gradient.abs().mean()

        with torch.no_grad(), self._device.arithmetic(self.precision):
            return Look(
                activations=self._seen(picture, inputs),
                guides={name: self._guide(name, guide) for name, guide in job.guides.items()},
                strength=strength,
                seed=job.seed,
            )

    def _guide(self, name: str, guide: Tensor) -> Mapping[str, Tensor]:
        smallest = self.program.network.min_side_px
        if min(guide.shape[1:]) < smallest:
            raise BadOption(
                f"{name}: the guide is {guide.shape[2]} × {guide.shape[1]} pixels; model {self.program.network.name!r} "
                f"needs at least {smallest} on each side. Enlarge it."
            )
        picture = _reduced(self._placed(guide[None]), GUIDE_PX, smallest)
        return self._seen(picture, self.inputs_of(picture)).by_tap

    def inputs_of(self, picture: Tensor, *, margin: float = 0.0) -> Inputs:
        """Return the inputs of a pass for a whole ``picture`` ``(1, 3, H, W)`` and a score without options."""
        picture = self._placed(picture)
        frame = torch.tensor([[[0.0, float(side), margin] for side in picture.shape[2:]]], dtype=self.dtype)
        return Inputs(windows=picture, frame=self._placed(frame), source=picture)

    def _placed(self, tensor: Tensor) -> Tensor:
        return self._device.place(tensor.to(self.dtype))

    @cached_property
    def bytes_per_pixel(self) -> float:
        """What a pass keeps for its backward, in bytes per pixel of its windows, measured on a small window."""
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        side = max(_WEIGHED_PX, self.program.network.min_side_px)
        window = self._device.place(torch.full((1, 3, side, side), 0.5, dtype=self.dtype)).requires_grad_()
        parameters = {parameter.untyped_storage().data_ptr() for parameter in self.network.parameters()}
        with (
            torch.enable_grad(),
            self._device.autocast(self.precision),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        ):
            self.network(window)
        # As much again as the largest layers need while they are computed, and the windows with their gradients.
        saved = sum(size for pointer, size in kept.items() if pointer not in parameters)
        return 1.5 * saved / (side * side) + 48


def _reduced(picture: Tensor, side_px: int, min_side_px: int) -> Tensor:
    """Shrink ``(1, C, H, W)`` to at most ``side_px`` squared pixels, if that leaves ``min_side_px`` on each side; of a
    strip that is too long even then, return the middle."""
    height, width = picture.shape[2:]
    scale = min(1.0, side_px / (height * width) ** 0.5)
    scale = max(scale, min_side_px / min(height, width))
    if scale < 1:
        size = [max(min_side_px, round(side * scale)) for side in (height, width)]
        picture = torch.nn.functional.interpolate(picture, size, mode="bilinear", antialias=True)
    longest = max(side_px, side_px * side_px // min(picture.shape[2:]))
    for dim in (2, 3):
        if picture.shape[dim] > longest:
            picture = picture.narrow(dim, (picture.shape[dim] - longest) // 2, longest)
    return picture
