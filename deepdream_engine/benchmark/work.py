"""What is dreamt in measurements: pictures made from seeds, the plainest objective, a network without a download."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepdream_engine.pyramid import octaves_of
from deepdream_engine.records import DreamJob, Network, Objective, Program, Schedule

SCHEDULE = Schedule(octaves=4, octave_scale=1.4, steps=1, step_size=1.5, jitter_px=32)
"""Google's pyramid, one step on each octave: the time of a step, each octave having its share."""
GOOGLE = Schedule(octaves=4, octave_scale=1.4, steps=10, step_size=1.5, jitter_px=32)
"""What Google published."""


def clouds(height: int, width: int, seed: int = 0) -> Tensor:
    """Return noise of all scales ``(3, height, width)`` in [0, 1]: as much detail as a photo, whatever its size."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, height, width)
    octave = 0
    while 4 << octave <= 2 * max(height, width):
        cells = torch.rand(1, 3, 4 << octave, 4 << octave, generator=generator) - 0.5
        picture += functional.interpolate(cells, (height, width), mode="bilinear", antialias=True) / 1.3**octave
        octave += 1
    return (picture[0] / 2 + 0.5).clamp(0, 1)


def layer_l2(tap: str) -> Objective:
    """Half the sum of squares of a tap's activations, as Google published it."""
    return Objective(
        key=("benchmark", "l2", tap),
        taps=(tap,),
        score=lambda activations, _: activations[tap].square().flatten(1).sum(1) / 2,
    )


def job(
    picture: Tensor, network: Network, tap: str, *, precision: str = "fp32", schedule: Schedule = SCHEDULE
) -> DreamJob:
    """Return a dream of ``picture`` ``(3, H, W)`` at ``tap``."""
    return DreamJob(
        pixels=picture,
        program=Program(network=network, objective=layer_l2(tap), precision=precision),
        schedule=schedule,
    )


def pixel_steps(job: DreamJob) -> int:
    """Return how many pixels all the steps of ``job`` send through the network: what its time goes with."""
    height, width = job.pixels.shape[1:]
    margin = min(job.schedule.margin_px, min(height, width) - 1)
    size = (height + 2 * margin, width + 2 * margin)
    octaves = octaves_of(size, job.schedule, job.program.network.min_side_px)
    return job.schedule.repeats * sum(octave.steps * octave.size[0] * octave.size[1] for octave in octaves)


def random_googlenet() -> Network:
    """Return GoogLeNet with random weights, scaled as He et al. (2015) have it so that activations neither vanish nor
    grow: it computes what the trained one does, and needs no download."""
    return Network(key=("benchmark", "googlenet"), name="googlenet (random weights)", load=_googlenet)


def _googlenet() -> nn.Module:
    from torchvision.models import googlenet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: nn.Module = googlenet(weights=None, aux_logits=False, transform_input=True, init_weights=False)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network
