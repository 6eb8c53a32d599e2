"""What goes into the engine and what comes out: the job, its static program, the dream or the failure.

A :class:`DreamJob` is one picture with everything that is its own: its schedule, ascent, canvas, numbers. Its
:class:`Program` is what pictures must have in common to share a pass, and is therefore the batching key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from deepdream_engine.activations import Activations, Look
    from deepdream_engine.errors import DeepDreamError

PRECISIONS = ("fp32", "tf32", "bf16", "fp64")
"""``tf32`` (on NVIDIA's GPUs) and ``bf16`` are quicker where the device has them, and make a different picture; a
device without them, or a network that they spoil, falls back to ``fp32`` with a logged reason. ``fp64`` makes the same
picture on any machine: dreaming is chaotic, so the rounding differences of float32 grow to visible ones within some
20 steps."""

CARRIES = ("detail", "picture")
"""What an octave takes over from the smaller one. ``detail``: what the ascent has added, on top of the source (Google;
Keras's "lost detail" is the same sum in another order). ``picture``: the enlarged picture itself, mixed with
``carry_blend`` of the source (0: TensorFlow's tutorial and pytorch-deepdream; 0.2: Hvass)."""

LOCKS = ("none", "mean", "mean+contrast", "histogram")
"""What of the source's colours is kept, channel by channel, after every octave."""

CANVASES = ("pixels", "fourier")
"""What the ascent changes: the pixels, or a Fourier spectrum with decorrelated colours (lucid)."""

Score = Callable[["Activations", Mapping[str, object]], "Tensor"]
"""``score(activations, options) -> (N,)``: activations by tap name, each ``(N, C, H, W)``; higher is better."""

Check = Callable[[Mapping[str, tuple[int, ...]], Mapping[str, object]], None]
"""``check(shapes, options)``: raises ``BadOption`` when one job's options do not fit activations of these shapes."""

Prepare = Callable[["Look", Mapping[str, object]], Mapping[str, "Tensor"]]
"""``prepare(look, options)``: what one job's score needs to know of its own picture, as tensors without a batch
dimension; they reach ``score`` among its options, stacked to ``(N, ...)``."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where an ascent stands: step ``index`` of ``count`` on octave ``octave`` (0 is the smallest)."""

    index: int
    count: int
    octave: int


Ascent = Callable[["Tensor", dict[str, "Tensor"], Step], "Tensor"]
"""``ascent(gradient, state, step) -> direction``: the gradient of one picture, ``(1, 3, H, W)`` (or of its spectrum),
which may be overwritten, becomes what is added to it for each unit of step size. ``state`` is empty at the start of
every octave and is the ascent's own. No value of a tensor may be read: that would stall the device."""

Transform = Callable[["Tensor", "Generator"], "Tensor"]
"""``transform(picture, generator) -> view``: a differentiable change of one picture ``(1, C, H, W)`` before each step,
drawn from the picture's own generator (a CPU one); the view's size must depend on the picture's size alone. The first
three channels are RGB; planes that travel with the picture may follow."""


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """A picture on its way: it has taken ``number`` steps, the last of them ``step`` on an octave of ``octaves``.

    ``picture()`` is what the dream would be if this were its end, ``(3, H, W)`` in [0, 1] on the CPU. It costs nothing
    before it is called, which has to be before the watcher returns.
    """

    number: int
    step: Step
    octaves: int
    picture: Callable[[], Tensor]


Watch = Callable[[Glimpse], None]
"""Hears of each step of one job, in the engine's thread, and changes nothing. A job that begins again, since memory ran
out, counts its steps anew."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that the engine can load: equal ``key`` means the same weights.

    ``load`` returns the whole module with its weights in place; it runs at most once per device. Pictures are
    normalised as ``(x - mean) / std`` per RGB channel on [0, 1]; a module with the attributes ``pixel_mean`` and
    ``pixel_std`` knows better. ``aliases`` maps friendly tap names to real ones. The tap ``logits`` is the network's
    output, and ``middle`` some layer in the middle, if no layer has that name.
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
    """What is maximised: ``score`` of the activations at ``taps`` (there may be none: a score of pixels alone).

    ``key`` identifies the score and its static options; options that vary per picture are in ``DreamJob.options``
    and reach ``score`` as tensors of shape ``(N,)``, static ones as plain values from ``static``. ``check``, if
    given, is called for every job before its first step, with the shapes ``(N, C, H, W)`` of the activations by tap
    name and all the job's options as plain values; then ``prepare``, if given, likewise. ``needs_source`` says that
    the score reads ``activations.source``.
    """

    key: Hashable
    taps: tuple[str, ...]
    score: Score = field(compare=False)
    static: Mapping[str, object] = field(default_factory=dict, compare=False)
    check: Check | None = field(default=None, compare=False)
    prepare: Prepare | None = field(default=None, compare=False)
    needs_source: bool = field(default=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The pyramid, and the steps on each of its octaves.

    There are ``octaves`` scales, each ``octave_scale`` times smaller than the next; the largest but ``octaves_above``
    has the picture's size, and the result is shrunk to it. ``steps``, ``step_size`` (8-bit levels: 1.5 is 1.5/255 of
    full scale) and ``jitter_px`` (the largest cyclic shift along each axis) are one value for all octaves, or one for
    each, the smallest octave first. ``margin_px`` mirrored pixels are added around the picture while it is dreamt and
    cut off afterwards: without them the cyclic shift joins opposite borders, and networks draw fences along the
    joint. The whole pyramid is gone through ``repeats`` times, each time from the dream before. ``carry`` (one of
    ``CARRIES``) says how octaves follow each other, ``lock`` (one of ``LOCKS``) what of the source's colours is kept.
    From the step on after which its score exceeds ``stop_score``, a picture stays as it is for the rest of an octave.
    """

    octaves: int = 4
    octave_scale: float = 1.4
    octaves_above: int = 0
    steps: int | tuple[int, ...] = 10
    step_size: float | tuple[float, ...] = 1.5
    jitter_px: int | tuple[int, ...] = 32
    margin_px: int = 0
    repeats: int = 1
    carry: str = "detail"
    carry_blend: float = 0.0
    lock: str = "none"
    stop_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the pictures of a pass have in common; jobs with equal programs share passes, whatever their sizes.

    ``precision`` is one of ``PRECISIONS``. Activations reach the objective as float32 (float64 with ``fp64``).
    """

    network: Network
    objective: Objective
    precision: str = "fp32"


@dataclass(frozen=True, kw_only=True)
class DreamJob:
    """One picture to dream, and everything that is its own.

    ``pixels`` is float32 RGB ``(3, H, W)`` in [0, 1], on the CPU. ``ascent`` turns gradients into steps; ``None``
    is Google's, division by the mean absolute value. ``canvas`` is one of ``CANVASES``. ``transforms`` change the view
    that the network gets, in order, after the jitter. ``options`` holds the objective's per-picture options.
    ``mask`` ``(1, H, W)`` in [0, 1] scales the steps: where it is 0, the picture stays as it is. ``planes`` are
    further ``(1, H, W)`` that travel with the picture, for the objective; ``guides`` are pictures ``(3, h, w)`` of any
    size that its ``prepare`` gets to see through the network. ``watch`` hears of each step.
    """

    pixels: Tensor
    program: Program
    schedule: Schedule = Schedule()
    seed: int = 0
    ascent: Ascent | None = None
    canvas: str = "pixels"
    transforms: tuple[Transform, ...] = ()
    options: Mapping[str, float | int] = field(default_factory=dict)
    mask: Tensor | None = None
    planes: Mapping[str, Tensor] = field(default_factory=dict)
    guides: Mapping[str, Tensor] = field(default_factory=dict)
    watch: Watch | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Dream:
    """A finished dream: float32 RGB ``(3, H, W)`` in [0, 1] on the CPU, the digest of the weights that made it, the
    tile that it was made with, which is smaller than the engine's if memory ran out, and the precision, which is
    ``fp32`` if the one asked for was found wanting."""

    pixels: Tensor
    weights_sha256: str
    tile_px: int
    precision: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A job that could not be dreamt, and why. Its neighbours in the batch are not affected."""

    error: DeepDreamError


Outcome = Dream | Failure
Progress = Callable[[int, float], None]
"""``progress(index of the job, fraction done in [0, 1])``; called from the engine's thread, must not block."""

__all__: Sequence[str] = [
    "CANVASES",
    "CARRIES",
    "LOCKS",
    "PRECISIONS",
    "Ascent",
    "Check",
    "Dream",
    "DreamJob",
    "Failure",
    "Glimpse",
    "Network",
    "Objective",
    "Outcome",
    "Prepare",
    "Program",
    "Progress",
    "Schedule",
    "Score",
    "Step",
    "Transform",
    "Watch",
]
