"""One batch from sources to dreams: octave by octave, the detail carried between them.

All pictures of a batch have one size and one program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deepdream_engine.ascent import Ascent, draw_shifts
from deepdream_engine.device import Device
from deepdream_engine.errors import BadOption, BadPicture, EngineFault
from deepdream_engine.network import TappedNetwork
from deepdream_engine.pyramid import add_margin, octave_bases, octave_sizes, resize
from deepdream_engine.records import Dream, DreamJob, Failure, Outcome

AfterStep = Callable[[float], None]
"""Called after each step with the fraction of the batch's work that is done; may raise ``Cancelled``."""


@torch.no_grad()
def dream_batch(
    jobs: Sequence[DreamJob], network: TappedNetwork, device: Device, *, tile_px: int, after_step: AfterStep
) -> list[Outcome]:
    """Dream ``jobs``, which have one size and one program, in shared passes; return their outcomes in order."""
    program = jobs[0].program
    schedule = program.schedule
    dtype = device.dtype(program.precision)
    sources = device.place(torch.stack([job.pixels for job in jobs]).to(dtype))  # (N, 3, H, W)
    height, width = sources.shape[2:]
    sources = add_margin(sources, schedule.margin_px)
    if min(height, width) < program.network.min_side_px:
        raise BadPicture(
            f"the picture is {width} × {height} pixels; model {program.network.name!r} needs at least "
            f"{program.network.min_side_px} on each side. Enlarge it, or choose another model."
        )
    sizes = octave_sizes((sources.shape[2], sources.shape[3]), schedule, program.network.min_side_px)
    _check_options(jobs, network, octave_bases(sources[:1], sizes)[0])
    tiled = sizes[-1][0] * sizes[-1][1] > tile_px * tile_px
    generators = [torch.Generator().manual_seed(job.seed) for job in jobs]
    ascent = Ascent(
        network=network,
        score=program.objective.score,
        options={**program.objective.static, **_per_picture(jobs, device, dtype)},
        step_size=device.place(torch.tensor([job.step_size / 255 for job in jobs], dtype=dtype).view(-1, 1, 1, 1)),
        tile_px=tile_px,
        device=device,
        precision=program.precision,
    )
    advance = _Progress(sizes, schedule.steps, after_step)
    canvas = sources
    detail: Tensor | None = None
    moved = torch.zeros(len(jobs), dtype=dtype, device=sources.device)
    for base, size in zip(octave_bases(sources, sizes), sizes, strict=True):
        canvas = base if detail is None else base + resize(detail, size)
        # Tiles need shifts as large as themselves, so that a border falls anywhere with equal chance.
        bounds = [max(job.jitter_px, tile_px // 2) if tiled else job.jitter_px for job in jobs]
        canvas, octave_moved = ascent.climb(canvas, draw_shifts(generators, schedule.steps, bounds), advance)
        detail = canvas - base
        moved += octave_moved
    margin = (sources.shape[2] - height) // 2
    dreams = canvas[:, :, margin : margin + height, margin : margin + width]
    return [
        _outcome(job, picture, total, network, tile_px) for job, picture, total in zip(jobs, dreams, moved, strict=True)
    ]


class _Progress:
    """Counts steps, weighing each by the pixels of its octave."""

    def __init__(self, sizes: Sequence[tuple[int, int]], steps: int, after_step: AfterStep) -> None:
        self._weights = [height * width for height, width in sizes for _ in range(steps)]
        self._total = sum(self._weights)
        self._done = 0
        self._after_step = after_step

    def __call__(self) -> None:
        self._done += self._weights.pop(0)
        self._after_step(self._done / self._total)


def _check_options(jobs: Sequence[DreamJob], network: TappedNetwork, picture: Tensor) -> None:
    """Let the objective refuse options that do not fit the network; ``picture`` ``(1, 3, H, W)`` gives the shapes."""
    objective = jobs[0].program.objective
    if objective.check is not None:
        shapes = {tap: tuple(activations.shape) for tap, activations in network(picture).items()}
        for job in jobs:
            objective.check(shapes, {**objective.static, **job.options})


def _per_picture(jobs: Sequence[DreamJob], device: Device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Stack the jobs' per-picture options into tensors of shape ``(N,)``: integers, or numbers of ``dtype``."""
    columns = {name: torch.tensor([job.options[name] for job in jobs]) for name in jobs[0].options}
    return {name: device.place(c.to(dtype) if c.is_floating_point() else c) for name, c in columns.items()}


def _outcome(job: DreamJob, picture: Tensor, moved: Tensor, network: TappedNetwork, tile_px: int) -> Outcome:
    taps = ", ".join(job.program.objective.taps)
    if not torch.isfinite(moved) or not torch.isfinite(picture).all():
        return Failure(error=EngineFault(f"the gradient at {taps} is not finite (precision {job.program.precision})"))
    if job.program.schedule.steps and not moved:
        return Failure(
            error=BadOption(
                f"objective at {taps}: its gradient is zero everywhere on this picture, so there is nothing to "
                f"amplify. Choose another layer or channel."
            )
        )
    return Dream(pixels=picture.float().cpu().contiguous(), weights_sha256=network.weights_sha256, tile_px=tile_px)
