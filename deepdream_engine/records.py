"""What goes into the engine and what comes out: the job, its static program, the dream or the failure.

A :class:`DreamJob` is one picture with its per-picture numbers; its :class:`Program` is everything static that
pictures must have in common to share a pass, and is therefore the batching key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepdream_engine.errors import DeepDreamError

PRECISIONS = ("fp32", "bf16", "fp64")
"""``bf16`` is quicker where the device has it, and makes a different picture. ``fp64`` makes the same one on any
machine: dreaming is chaotic, so the rounding differences of float32 grow to visible ones within some 20 steps."""

Score = Callable[[Mapping[str, "Tensor"], Mapping[str, object]], "Tensor"]
"""``score(activations, options) -> (N,)``: activations by tap name, each ``(N, C, H, W)``; higher is better."""

Check = Callable[[Mapping[str, tuple[int, ...]], Mapping[str, object]], None]
"""``check(shapes, options)``: raises ``BadOption`` when one job's options do not fit activations of these shapes."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that the engine can load: equal ``key`` means the same weights.

    ``load`` returns the whole module with its weights in place; it runs at most once per device. Pictures are
    normalised as ``(x - mean) / std`` per RGB channel on [0, 1]. ``aliases`` maps friendly tap names to real ones.
    """

    key: Hashable
    name: str
    load: Callable[[], nn.Module] = field(compare=False)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    min_side_px: int = 32
    aliases: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is maximised: ``score`` of the activations at ``taps``.

    ``key`` identifies the score and its static options; options that vary per picture are in ``DreamJob.options``
    and reach ``score`` as tensors of shape ``(N,)``, static ones as plain values from ``static``. ``check``, if
    given, is called for every job before its first step, with the shapes ``(N, C, H, W)`` of the activations by tap
    name and all the job's options as plain values.
    """

    key: Hashable
    taps: tuple[str, ...]
    score: Score = field(compare=False)
    static: Mapping[str, object] = field(default_factory=dict, compare=False)
    check: Check | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The pyramid: ``octaves`` scales, each ``octave_scale`` times smaller than the next, ``steps`` on each.

    ``margin_px`` mirrored pixels are added around the picture while it is dreamt and cut off afterwards: without
    them the cyclic shift joins opposite borders, and networks draw fences along the joint.
    """

    octaves: int = 4
    octave_scale: float = 1.4
    steps: int = 10
    margin_px: int = 0


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything static about a dream; jobs with equal programs may share passes.

    ``precision`` is one of ``PRECISIONS``. Activations reach the objective as float32 (float64 with ``fp64``).
    """

    network: Network
    objective: Objective
    schedule: Schedule = Schedule()
    precision: str = "fp32"


@dataclass(frozen=True, kw_only=True)
class DreamJob:
    """One picture to dream.

    ``pixels`` is float32 RGB ``(3, H, W)`` in [0, 1], on the CPU. ``step_size`` is in 8-bit levels per step (1.5
    is 1.5/255 of full scale) after the gradient has been divided by its mean absolute value; ``jitter_px`` is the
    largest cyclic shift in pixels along each axis; ``options`` holds the objective's per-picture options.
    """

    pixels: Tensor
    program: Program
    seed: int = 0
    step_size: float = 1.5
    jitter_px: int = 32
    options: Mapping[str, float | int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dream:
    """A finished dream: float32 RGB ``(3, H, W)`` in [0, 1] on the CPU, the digest of the weights that made it, and
    the tile that it was made with, which is smaller than the engine's if memory ran out."""

    pixels: Tensor
    weights_sha256: str
    tile_px: int


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A job that could not be dreamt, and why. Its neighbours in the batch are not affected."""

    error: DeepDreamError


Outcome = Dream | Failure
Progress = Callable[[int, float], None]
"""``progress(index of the job, fraction done in [0, 1])``; called from the engine's thread, must not block."""

__all__: Sequence[str] = [
    "PRECISIONS",
    "Check",
    "Dream",
    "DreamJob",
    "Failure",
    "Network",
    "Objective",
    "Outcome",
    "Program",
    "Progress",
    "Schedule",
    "Score",
]
