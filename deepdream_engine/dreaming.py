"""The way of one picture from source to dream: octave by octave, step by step.

It is a coroutine. Before each step it yields the :class:`View` that it wants the gradient of, and is sent a
:class:`Slope` when the passes that computed it are done. So pictures of any sizes, schedules and ascents go at
their own pace and still share passes, and the step loop below is the same for one picture and for a thousand.

The method is that of Google's DeepDream notebook (Mordvintsev, Olah and Tyka, 2015): shift the canvas cyclically by a
random jitter, take the gradient of the objective, scale it, add it, clip.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepdream_engine.ascents import mean_abs
from deepdream_engine.canvases import make_canvas
from deepdream_engine.drift import hold
from deepdream_engine.errors import BadOption, BadPicture, EngineFault
from deepdream_engine.glimpses import Onlooker
from deepdream_engine.pyramid import Octave, add_margin, octave_bases, octaves_of, resize
from deepdream_engine.records import DreamJob, Step
from deepdream_engine.surroundings import Surroundings


@dataclass(frozen=True, kw_only=True)
class View:
    """What the network shall look at: ``picture`` ``(1, 3, H, W)``, shifted cyclically by ``shift`` rows and columns.

    ``source`` is the source picture in the same view, if the objective needs it, ``planes`` the job's planes,
    ``margin`` the rows and columns of the margin in it.
    """

    picture: Tensor
    shift: tuple[int, int]
    margin: tuple[float, float]
    source: Tensor | None
    planes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Slope:
    """The gradient ``(1, 3, H, W)`` of a view, shifted back and free to be overwritten, and its score ``()``."""

    gradient: Tensor
    score: Tensor


Dreaming = Generator[View, Slope, Tensor]


class Way:
    """What is known of a picture's way before its first step: the octaves, and what its canvas will take."""

    def __init__(self, job: DreamJob, dtype: torch.dtype) -> None:
        self.job = job
        self._home, self._dtype = torch.device("cpu"), dtype
        smallest = job.program.network.min_side_px
        height, width = job.pixels.shape[1:]
        if min(height, width) < smallest:
            raise BadPicture(
                f"the picture is {width} × {height} pixels; model {job.program.network.name!r} needs at least "
                f"{smallest} on each side. Enlarge it, or choose another model."
            )
        self.size = (height, width)
        self.margin = min(job.schedule.margin_px, min(height, width) - 1)
        self.padded = (height + 2 * self.margin, width + 2 * self.margin)
        self.octaves = octaves_of(self.padded, job.schedule, smallest)
        # Work is counted in pixels that pass through the network.
        self.work = job.schedule.repeats * sum(octave.steps * _area(octave) for octave in self.octaves)

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return self.job.schedule.repeats * sum(octave.steps for octave in self.octaves)

    @property
    def canvas_bytes(self) -> float:
        """About what the largest octave takes: canvas, gradient, source and the pyramid below it, what an ascent
        remembers, and what autograd keeps of a spectrum or of transforms; what a watcher sees, and is made of."""
        job = self.job
        pictures = 4 + 2 * (job.ascent is not None) + 6 * (job.canvas != "pixels" or bool(job.transforms))
        pictures += len(job.planes) + (job.mask is not None) + 3 * (job.watch is not None)
        return 3 * self._dtype.itemsize * pictures * _area(self.octaves[-1])

    def live_on(self, home: torch.device) -> None:
        """Say where the canvas shall be."""
        self._home = home

    def source(self) -> Tensor:
        """Return the source with its margin, ``(1, 3, H, W)``. It is made anew rather than kept: 12 bytes per pixel."""
        return self._placed(self.job.pixels)

    def planes(self) -> dict[str, Tensor]:
        """Return the job's planes with their margins, ``(1, 1, H, W)`` each."""
        return {name: self._placed(plane) for name, plane in self.job.planes.items()}

    def _placed(self, plane: Tensor) -> Tensor:
        return add_margin(plane[None].to(self._home, self._dtype), self.margin)  # (1, C, H, W)

    def dream(self) -> Dreaming:
        """Go the whole way; return the dream ``(3, H, W)`` in [0, 1]. Run it without gradients (``torch.no_grad``).

        Raises ``BadOption`` if nothing ever moves and ``NotFinite`` if the gradient is not finite.
        """
        schedule = self.job.schedule
        random = torch.Generator().manual_seed(self.job.seed)
        sizes = [octave.size for octave in self.octaves]
        last = len(sizes) - 1
        planes = self.planes()
        mask = None if self.job.mask is None else self._placed(self.job.mask)
        needs_source = self.job.program.objective.needs_source
        onlooker = None if self.job.watch is None else Onlooker(self, mask)
        dream: Tensor | None = None
        for _ in range(schedule.repeats):
            bases = octave_bases(self.source() if dream is None else dream, sizes)
            sources = octave_bases(self.source(), sizes) if needs_source and dream is not None else None
            carried: Tensor | None = None
            if onlooker is not None:
                onlooker.round_begins(self.source() if dream is None else dream)
            for index, size in enumerate(sizes):
                # What is not needed any more does not lie beside the canvas and its gradient: neither the base, once it
                # is all in the canvas, nor what the smaller octave left.
                base: Tensor | None = next(bases)
                source = base if sources is None else next(sources)
                assert base is not None  # for the type checker
                picture = base.clone() if carried is None else self._follow(carried, base)
                carried = dream = None
                if index == last and mask is None:
                    base = None
                scene = Surroundings(self, source if needs_source else None, planes, size)
                del source
                shade = None if mask is None else resize(mask, size)
                if onlooker is not None:
                    onlooker.octave_begins(index, base)
                picture = yield from self._climb(picture, scene, shade, index, random, onlooker=onlooker)
                del scene
                if schedule.lock != "none":
                    picture = hold(picture, resize(self.source(), size), schedule.lock)
                if shade is not None and base is not None:
                    # A lock and a spectrum reach beyond the mask, and so does what larger pictures are made of.
                    picture = base.lerp(picture, shade)
                if index < last:
                    carried = picture.sub_(base) if schedule.carry == "detail" and base is not None else picture
            dream = resize(picture, self.padded)
            del picture
        assert dream is not None  # there is at least one round
        return self.cut_out(dream, mask)

    def cut_out(self, dream: Tensor, mask: Tensor | None) -> Tensor:
        """Return what is seen of a whole dream ``(1, 3, H, W)``: what the mask lets through, without the margin."""
        if mask is not None:
            dream = self.source().lerp(dream, mask)
        height, width = self.size
        return dream[0, :, self.margin : self.margin + height, self.margin : self.margin + width]

    def _follow(self, carried: Tensor, base: Tensor) -> Tensor:
        """Return what an octave begins with, see ``records.CARRIES``."""
        larger = resize(carried, (base.shape[2], base.shape[3]))
        if self.job.schedule.carry == "detail":
            return larger.add_(base)
        return larger.lerp_(base, self.job.schedule.carry_blend)

    def _climb(
        self,
        picture: Tensor,
        scene: Surroundings,
        mask: Tensor | None,
        number: int,
        random: torch.Generator,
        *,
        onlooker: Onlooker | None,
    ) -> Dreaming:
        """Take the steps of one octave from ``picture``, which is given away; return the picture after them."""
        job, octave = self.job, self.octaves[number]
        ascent = job.ascent or mean_abs
        canvas = make_canvas(job.canvas)
        parameters = canvas.start(picture)
        if not canvas.is_pixels:
            mask = None  # a spectrum cannot be changed in one place alone
        state: dict[str, Tensor] = {}
        climbing = picture.new_ones(())  # 0 once the score has exceeded stop_score
        moved = picture.new_zeros(())
        del picture
        for index, shift in enumerate(_draw_shifts(random, octave)):
            leaf = parameters.detach().requires_grad_(not canvas.is_pixels or bool(job.transforms))
            with torch.enable_grad():
                seen = scene.view(canvas.picture(leaf, octave.size), random)
            slope = yield View(
                picture=seen.detach()[:, :3],
                shift=shift,
                margin=scene.margin,
                source=scene.source(seen),
                planes=scene.planes(seen),
            )
            gradient = slope.gradient
            if leaf.requires_grad:
                (gradient,) = torch.autograd.grad(seen, leaf, scene.widened(gradient, seen))
            moved += torch.linalg.vector_norm(gradient, ord=1)
            step = Step(index=index, count=octave.steps, octave=number)
            direction = ascent(gradient, state, step)
            scale = climbing * (octave.step_size / 255)
            parameters.addcmul_(direction, scale if mask is None else scale * mask)
            if canvas.is_pixels:
                parameters.clamp_(0, 1)
            if job.schedule.stop_score is not None:
                climbing *= slope.score <= job.schedule.stop_score
            del slope, gradient, direction, seen, leaf  # else they would lie beside the next ones
            if onlooker is not None:
                onlooker.step_taken(step, lambda: canvas.picture(parameters, octave.size))
        picture = canvas.picture(parameters, octave.size)
        self._check(picture, moved, octave.steps)
        return picture

    def _check(self, picture: Tensor, moved: Tensor, steps: int) -> None:
        """Refuse an octave that came to nothing. This is the one place where a picture's values are waited for."""
        objective = ", ".join(self.job.program.objective.taps) or "the pixels"
        if not torch.isfinite(moved + picture.sum()):
            raise NotFinite(
                f"objective at {objective}: its gradient on this picture is not finite (precision "
                f"{self.job.program.precision}). Choose another layer, a smaller step_size, or precision fp32."
            )
        if steps and not moved:
            raise BadOption(
                f"objective at {objective}: its gradient is zero everywhere on this picture, so there is nothing to "
                f"amplify. Choose another layer or channel."
            )


class NotFinite(EngineFault):
    """Gradients became infinite or NaN."""


def _draw_shifts(random: torch.Generator, octave: Octave) -> list[tuple[int, int]]:
    """Draw the cyclic shifts of an octave's steps, rows down and columns right, uniform in [-jitter, jitter]."""
    bound = octave.jitter_px
    shifts = torch.randint(-bound, bound + 1, (octave.steps, 2), generator=random)
    return [(down, right) for down, right in shifts.tolist()]


def _area(octave: Octave) -> int:
    return octave.size[0] * octave.size[1]
