"""lucid's feature visualisation (Olah, Mordvintsev and Schubert, 2017), against the recipe ``lucid``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepdream_engine import Engine

from .published import SEED, Eye, Picture, tell

COLOUR_CORRELATION_SVD_SQRT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


def render_vis(start: Picture, layer: str, channel: int, steps: int) -> Picture:
    """lucid's optimisation of the spectrum of ``start``, seen through its padding and its two jitters."""
    eye = Eye(layer)
    random = torch.Generator().manual_seed(SEED)
    torch.randint(0, 1, (steps, 2), generator=random)  # the engine's own shifts, of nothing
    h, w = start.shape[1:]
    freqs = np.sqrt(np.fft.fftfreq(h)[:, None] ** 2 + np.fft.rfftfreq(w)[None] ** 2)
    scale = torch.from_numpy(np.sqrt(w * h) / np.maximum(freqs, 1.0 / max(w, h)))
    norms = np.linalg.norm(COLOUR_CORRELATION_SVD_SQRT, axis=0)
    correlation = torch.from_numpy(COLOUR_CORRELATION_SVD_SQRT / norms.max())

    logits = np.log(start / (255 - start))
    colours = np.einsum("dc,chw->dhw", np.linalg.inv(correlation.numpy()), logits)
    spectrum = torch.from_numpy(4.0 * np.fft.rfft2(colours)) / scale
    parameters = torch.nn.Parameter(torch.view_as_real(spectrum).clone())

    def image() -> Tensor:
        t = torch.fft.irfft2(scale * torch.view_as_complex(parameters), s=(h, w)) / 4.0
        return torch.einsum("cd,dhw->chw", correlation, t).sigmoid()[None]

    optimizer = torch.optim.Adam([parameters], lr=0.05)
    for _ in range(steps):
        seen = functional.pad(image(), (12,) * 4, value=0.5)
        for d in (8, 4):
            y, x = torch.randint(0, d + 1, (2,), generator=random).tolist()
            seen = seen[:, :, y : y + seen.shape[2] - d, x : x + seen.shape[3] - d]
        optimizer.zero_grad()
        (-eye.see(seen)[layer][:, channel].mean()).backward()
        optimizer.step()
    return image()[0].detach().numpy() * 255


def test_lucid_is_its_visualisation_of_a_channel(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    changes = {
        "objective": {"layer": "mixed4b", "channel": 12},
        "prefilters": [{"name": "noise", "side": 48, "spread": 40}],
        "transforms": [
            {"name": "pad", "pixels": 12, "mode": "constant"},
            {"name": "jitter", "pixels": 8},
            {"name": "jitter", "pixels": 4},
        ],
        "steps": 16,
    }
    told = tell(engine, "lucid", clouds(40, 50), changes)
    assert told.source.shape == (3, 48, 48)
    told.assert_is(render_vis(told.source, "mixed4b", 12, steps=16), moved=15)
