"""A picture in flight, the windows that it asks for, and how windows are stacked into the inputs of one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.dreaming import Dreaming, Slope, View, Way
from deepdream_engine.passes import Inputs, Runner
from deepdream_engine.pyramid import Size
from deepdream_engine.tiling import Window, cut, paste, windows_of


class Flight:
    """One job on its way through the passes.

    ``tensors`` are its rows of the objective's options. ``gradient`` ``(1, 3, H, W)`` and ``score`` ``()`` of the
    current view are whole when no window is ``missing`` any more. The gradient is made when the first window is there,
    so that it does not lie beside the one before.
    """

    view: View
    gradient: Tensor | None
    score: Tensor
    missing: int
    home: torch.device
    tile_px: int

    def __init__(self, index: int, way: Way, runner: Runner, tensors: Mapping[str, Tensor]) -> None:
        self.index = index
        self.way = way
        self.runner = runner
        self.tensors = tensors
        self.dreaming: Dreaming = way.dream()
        self.work_done = 0
        self.views = 0
        self._shapes = tuple(sorted((name, tuple(tensor.shape)) for name, tensor in tensors.items()))

    def look_at(self, view: View, granule_px: int) -> list[Request]:
        """Return the windows that must pass through the network for the gradient of ``view``."""
        self.view = view
        self.views += 1
        height, width = view.picture.shape[2:]
        windows = windows_of((height, width), self.tile_px, granule_px)
        self.gradient = None
        self.score = view.picture.new_zeros(())
        self.missing = len(windows)
        key = PassKey(self.runner, self._shapes, windows[0].size)
        return [Request(self, window, view.shift, key, self.views) for window in windows]

    def make_room(self) -> None:
        """Make the gradient that the view's windows are pasted into."""
        if self.gradient is None:
            self.gradient = torch.zeros_like(self.view.picture)

    def receive(self, gradient: Tensor, score: Tensor, request: Request) -> None:
        """Take in the ``gradient`` ``(3, h, w)`` and the ``score`` ``()`` of a window, which there is room for."""
        assert self.gradient is not None
        paste(gradient, request.window, request.shift, self.gradient[0])
        self.score += score.to(self.home) * request.window.share  # context is not counted twice
        self.missing -= 1

    def slope(self) -> Slope:
        """Give away the whole gradient and the score."""
        assert self.gradient is not None  # all windows have been received
        slope = Slope(self.gradient, self.score)
        self.gradient = None
        return slope

    @property
    def fraction(self) -> float:
        """How much of its work is done, in [0, 1]."""
        return self.work_done / self.way.work if self.way.work else 1.0


@dataclass(frozen=True)
class PassKey:
    """What windows have in common that may share a pass: ``options`` are the names and shapes of the flights'
    tensors, ``size`` is the windows' height and width."""

    runner: Runner
    options: tuple[tuple[str, tuple[int, ...]], ...]
    size: Size


@dataclass(frozen=True, eq=False)
class Request:
    """A window of a flight's view, its ``number``-th, that must pass through the network."""

    flight: Flight
    window: Window
    shift: tuple[int, int]
    key: PassKey
    number: int

    @property
    def is_wanted(self) -> bool:
        """Whether the flight still waits for it: not if its view has been cut anew, or is another one by now."""
        return self.number == self.flight.views


def stacked(requests: Sequence[Request], rows: int) -> Inputs:
    """Return the inputs of one pass of ``rows`` windows, on the runner's device; rows beyond the requests are black."""
    first = requests[0]
    runner = first.flight.runner
    size = first.window.size
    device, dtype = runner.device, runner.dtype

    def windows(channels: int) -> Tensor:
        make = torch.empty if rows == len(requests) else torch.zeros
        return make((rows, channels, *size), device=device, dtype=dtype)

    pixels = windows(3)
    source = windows(3) if runner.program.objective.needs_source else None
    planes = {name: windows(1) for name in first.flight.view.planes}
    for row, request in enumerate(requests):
        view, window, shift = request.flight.view, request.window, request.shift
        cut(view.picture[0], window, shift, pixels[row])
        if source is not None and view.source is not None:
            cut(view.source[0], window, shift, source[row])
        for name, plane in planes.items():
            cut(view.planes[name][0], window, shift, plane[row])
    fill = [first] * (rows - len(requests))
    options = {
        name: torch.stack([request.flight.tensors[name] for request in [*requests, *fill]])
        for name in first.flight.tensors
    }
    frame = torch.tensor([_frame(request) for request in [*requests, *fill]], dtype=dtype)
    if device.type == "cuda":
        frame = frame.pin_memory().to(device, non_blocking=True)
    return Inputs(windows=pixels, frame=frame.to(device), source=source, planes=planes, options=options)


def _frame(request: Request) -> list[list[float]]:
    view, window = request.flight.view, request.window
    return [
        [float((begin - shift) % length), float(length), margin]
        for begin, shift, length, margin in zip(
            (window.rows.begin, window.columns.begin), request.shift, view.picture.shape[2:], view.margin, strict=True
        )
    ]
