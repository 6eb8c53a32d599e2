"""What holds for every built-in objective: each picture by itself, with a gradient, without waiting for the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.seeing import CHANNELS, SPECS, Eye, arguments

Options = Mapping[str, Any]
DEEP = {"layer": "deep"}

# For three pictures, each with numbers of its own where the objective takes them per picture.
CASES: dict[str, Sequence[Options]] = {
    "l2": [DEEP] * 3,
    "mean": [DEEP] * 3,
    "mean_square": [DEEP | {"border": 2}] * 3,
    "channel": [DEEP | {"channel": channel} for channel in (0, 5, 2)],
    "channels": [DEEP | {"channels": channels} for channels in ((0, 3), (5,), (1, 2, 4))],
    "channel_range": [DEEP | {"first": first, "last": last} for first, last in ((0, 5), (2, 3), (4, 4))],
    "strongest": [DEEP | {"k": k} for k in (1, 6, 2)],
    "weakest": [DEEP | {"k": k} for k in (1, 6, 2)],
    "random": [DEEP | {"k": k} for k in (1, 6, 2)],
    "neuron": [DEEP | {"channel": c, "x": x, "y": y} for c, x, y in ((0, 0.5, 0.5), (5, 0.0, 1.0), (3, 0.9, 0.2))],
    "class_logit": [{"layer": "logits", "label": label} for label in (0, 4, 2)],
    "class_probability": [{"layer": "logits", "label": label} for label in (0, 4, 2)],
    "direction": [
        DEEP | {"vector": (1.0, -2, 0, 0, 3, 1), "cosine_power": power} for power in (0.0, 1.0, 2.5)
    ],
    "guide": [DEEP] * 3,
    "guide_mean": [DEEP] * 3,
    "guide_gram": [DEEP] * 3,
    "tv": [{}] * 3,
    "pull_l1": [{}] * 3,
    "pull_l2": [{}] * 3,
}  # fmt: skip
SUMS = {"l2", "guide", "neuron", "pull_l1", "pull_l2"}  # not tv: it does not see the edge between two windows
MEANS = {"mean", "mean_square", "channel", "channels", "channel_range", "strongest", "weakest", "random", "direction"}
# The rest judge a window as a whole, so that their parts do not add up: logits, probabilities, distances.
EVERY = pytest.mark.parametrize("name", CASES)


def noise(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PICTURES = noise(3, 3, 24, 32, seed=1)
SOURCES = noise(3, 3, 24, 32, seed=2)
GUIDES = [noise(1, 3, *size, seed=3) for size in ((16, 20), (30, 18), (8, 8))]  # of sizes of their own


def inputs(name: str, eye: Eye, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    looks = [eye.look(PICTURES[n : n + 1], GUIDES[n], seed=n) for n in range(3)]
    found = arguments(SPECS[name], CASES[name], looks, dtype)
    return {
        key: value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
        for key, value in found.items()
    }


def of_one(options: Mapping[str, Any], index: int) -> dict[str, Any]:
    return {key: value[index : index + 1] if isinstance(value, Tensor) else value for key, value in options.items()}


def climb(name: str, pixels: Tensor, options: Mapping[str, Any], sources: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores ``(N,)`` and their gradients ``(N, 3, H, W)``."""
    pixels = pixels.detach().requires_grad_()
    scores = SPECS[name].score(Eye().see(pixels, source=sources), **options)
    (gradient,) = torch.autograd.grad(scores.sum(), pixels)
    return scores.detach(), gradient


def test_every_objective_is_tested_here() -> None:
    assert list(CASES) == list(SPECS)


@EVERY
def test_alone_equals_among_others(name: str) -> None:
    options = inputs(name, Eye())
    scores, gradients = climb(name, PICTURES, options, SOURCES)
    assert scores.shape == (3,)
    assert len(set(scores.tolist())) == 3
    for n in range(3):
        score, gradient = climb(name, PICTURES[n : n + 1], of_one(options, n), SOURCES[n : n + 1])
        torch.testing.assert_close(score[0], scores[n], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradient[0], gradients[n], rtol=1e-10, atol=1e-14)


@EVERY
def test_following_the_gradient_raises_every_score(name: str) -> None:
    options, pixels = inputs(name, Eye()), PICTURES
    for _ in range(4):
        before, gradient = climb(name, pixels, options, SOURCES)
        assert (gradient.flatten(1).abs().amax(dim=1) > 0).all()
        pixels = pixels + 1e-3 * gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        after, _ = climb(name, pixels, options, SOURCES)
        assert (after > before).all()


@EVERY
def test_float32_stays_float32(name: str) -> None:
    scores, gradient = climb(name, PICTURES.float(), inputs(name, Eye(), torch.float32), SOURCES.float())
    exact, exact_gradient = climb(name, PICTURES, inputs(name, Eye()), SOURCES)
    assert scores.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(scores.double(), exact, rtol=1e-3, atol=1e-5)
    assert torch.cosine_similarity(gradient.double().flatten(1), exact_gradient.flatten(1)).min() > 0.999


class NoValueIsRead(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails on every operation that must wait for the device to learn a value or a shape."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.name().split(".")[0] not in {
            "aten::_local_scalar_dense",
            "aten::nonzero",
            "aten::masked_select",
            "aten::is_nonzero",
            "aten::equal",
        }, func.name()
        return func(*args, **(kwargs or {}))


@EVERY
def test_scoring_reads_no_value_from_the_device(name: str) -> None:
    options = inputs(name, Eye())
    with NoValueIsRead():  # type: ignore[no-untyped-call]
        climb(name, PICTURES, options, SOURCES)


@EVERY
def test_scoring_stays_on_the_device_of_its_inputs(name: str) -> None:
    options = {
        key: value.to("meta") if isinstance(value, Tensor) else value for key, value in inputs(name, Eye()).items()
    }
    pixels, frame = PICTURES.to("meta").requires_grad_(), torch.empty(3, 2, 3, device="meta", dtype=torch.float64)
    scores = SPECS[name].score(Eye().see(pixels, frame=frame, source=SOURCES.to("meta")), **options)
    assert scores.shape == (3,)
    assert scores.device == torch.autograd.grad(scores.sum(), pixels)[0].device == torch.device("meta")


def test_reading_a_value_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoValueIsRead():  # type: ignore[no-untyped-call]
        torch.ones(()).item()


@pytest.mark.parametrize("name", sorted(SUMS | MEANS))
def test_windows_add_up_to_the_whole(name: str) -> None:
    if name == "mean_square":
        options: dict[str, Any] = {"layer": "deep", "border": 0}  # every window would have borders
    else:
        options = inputs(name, Eye(reach=1))
    score = SPECS[name].score

    def slope(pixels: Tensor, sources: Tensor, frame: Tensor | None) -> tuple[Tensor, Tensor]:
        pixels = pixels.detach().requires_grad_()
        scores = score(Eye(reach=1).see(pixels, frame=frame, source=sources), **options)
        return scores.detach(), torch.autograd.grad(scores.sum(), pixels)[0]

    total, gradient = slope(PICTURES, SOURCES, None)
    pieces = torch.empty_like(gradient)
    parts = torch.zeros_like(total)
    for top, left, height, width in ((0, 0, 10, 32), (10, 0, 14, 20), (10, 20, 14, 12)):
        window = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
        frame = torch.tensor([[[top, 24, 0], [left, 32, 0]]] * 3, dtype=torch.float64)
        part, pieces[window] = slope(PICTURES[window], SOURCES[window], frame)
        parts += part
    torch.testing.assert_close(parts, total)
    torch.testing.assert_close(pieces, gradient)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"neuron", "tv"}))  # one has one cell, the other sees the joints
def test_sums_grow_with_the_picture_and_means_do_not(name: str) -> None:
    options = inputs(name, Eye(reach=1)) | ({"border": 0} if name == "mean_square" else {})
    once = SPECS[name].score(Eye(reach=1).see(PICTURES, source=SOURCES), **options)
    four = SPECS[name].score(
        Eye(reach=1).see(PICTURES.repeat(1, 1, 2, 2), source=SOURCES.repeat(1, 1, 2, 2)), **options
    )
    torch.testing.assert_close(four, once * (4 if SPECS[name].is_sum else 1))


@EVERY
def test_every_option_says_what_it_is_for(name: str) -> None:
    spec = SPECS[name]
    assert spec.help
    assert all(option.help for option in spec.options)
    assert {option.name for option in spec.options} - {"guide"} == set(CASES[name][0])
    assert CHANNELS == 6  # the vector above
