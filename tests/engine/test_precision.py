"""A reduced precision is used where it makes much the same dream, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import Network
from deepdream_engine.device import Device
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.precision import judge, settle

from .conftest import DREAMNET

CPU = Device("cpu")

needs_bf16 = pytest.mark.skipif(bool(CPU.lacks("bf16")), reason="needs a processor with bfloat16")


def gradient_of(network: Network, tap: str) -> Callable[[str, Tensor], Tensor]:
    loaded = LoadedNetwork(network)
    tapped: dict[str, TappedNetwork] = {}

    def gradient(precision: str, picture: Tensor) -> Tensor:
        if precision not in tapped:
            tapped[precision] = TappedNetwork(loaded, (tap,)).on(CPU, precision)
        windows = picture.detach().requires_grad_()
        with CPU.autocast(precision):
            score = tapped[precision](windows)[tap].square().sum() / 2
        return torch.autograd.grad(score, windows)[0]

    return gradient


def offset_network() -> nn.Module:
    """Adds 4096 and takes it away again: float32 keeps the rest, bfloat16 (steps of 32 up there) nothing."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    torch.manual_seed(0)
    first, second = net[0], net[2]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    with torch.no_grad():
        first.weight.normal_(0, 0.1)
        first.bias.fill_(4096)  # type: ignore[union-attr]
        second.weight.copy_(torch.eye(4)[:, :, None, None])
        second.bias.fill_(-4096)  # type: ignore[union-attr]
    return net


OFFSET = Network(key="offset", name="offset", load=offset_network)


@needs_bf16
@pytest.mark.parametrize("tap", ["mixed3b", "mixed4c"])
def test_bf16_is_kept_for_dreamnet(tap: str, caplog: pytest.LogCaptureFixture) -> None:
    assert settle("bf16", gradient_of(DREAMNET, tap), CPU) == "bf16"
    assert not [record for record in caplog.records if record.name == "deepdream_engine.precision"]


@needs_bf16
def test_a_network_whose_gradient_vanishes_in_bf16_is_dreamt_in_fp32_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert settle("bf16", gradient_of(OFFSET, "2"), CPU) == "fp32"
    assert "'bf16' falls back to 'fp32' on cpu: its gradient on noise of 160 × 160 pixels is zero" in caplog.text


def test_tf32_falls_back_off_nvidias_gpus_without_a_pass() -> None:
    def gradient(_precision: str, _picture: Tensor) -> Tensor:
        raise AssertionError

    verdict = judge("tf32", gradient, CPU)
    assert (verdict.precision, verdict.reason) == ("fp32", "only NVIDIA's GPUs from Ampere on have it")


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_exact_precisions_are_taken_without_a_pass(precision: str) -> None:
    def gradient(_precision: str, _picture: Tensor) -> Tensor:
        raise AssertionError

    assert settle(precision, gradient, CPU) == precision


@needs_bf16
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda exact: exact / 0, "not finite"),
        (lambda exact: exact.flip(3), "has a cosine of"),
        (lambda exact: exact if exact.shape[2] == exact.shape[3] else exact * 0, "150 pixels is zero"),
    ],
)
def test_a_gradient_that_is_wrong_at_any_size_is_found(spoil: Callable[[Tensor], Tensor], reason: str) -> None:
    exact = gradient_of(DREAMNET, "conv2")

    def gradient(precision: str, picture: Tensor) -> Tensor:
        return spoil(exact("fp32", picture)) if precision == "bf16" else exact("fp32", picture)

    assert reason in judge("bf16", gradient, CPU).reason


@needs_bf16
def test_a_dream_that_goes_astray_after_a_good_first_step_is_found() -> None:
    exact = gradient_of(DREAMNET, "conv2")
    seen = []

    def gradient(precision: str, picture: Tensor) -> Tensor:
        if precision == "fp32":
            return exact("fp32", picture)
        seen.append(picture)
        return exact("fp32", picture) * (1 if torch.equal(picture, seen[0]) else -1)

    assert "what it dreams" in judge("bf16", gradient, CPU).reason
