"""Recording passes is an attempt: where there are no CUDA graphs, dreams are the same and the log says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deepdream_engine import Engine

from .conftest import job


def test_without_cuda_compile_changes_nothing_and_says_why(
    engine: Engine, clouds: Callable[..., Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    one = job(clouds(40, 56))
    (plain,) = engine.dream([one])
    (compiled,) = Engine(device="cpu", compile=True).dream([one])
    assert torch.equal(plain.pixels, compiled.pixels)
    assert [record.message for record in caplog.records] == [
        "engine.compile has no effect: passes cannot be recorded as CUDA graphs (there are none on cpu)"
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recorded_passes_make_the_same_dreams_and_are_few(clouds: Callable[..., Tensor]) -> None:
    sizes = [(150, 210), (160, 200), (200, 160), (190, 130), (170, 222), (131, 187)]
    jobs = [job(clouds(*size, seed), octaves=3, steps=6, seed=seed) for seed, size in enumerate(sizes)]
    plain = Engine(device="cuda").dream(jobs)
    engine = Engine(device="cuda", compile=True)
    compiled = engine.dream(jobs)
    for one, other in zip(plain, compiled, strict=True):
        assert (one.pixels - other.pixels).abs().max() <= 2 / 255
    assert engine._captures is not None
    recorded = [graph for graph in engine._captures._graphs.values() if graph is not None]
    assert 0 < len(recorded) <= 12
