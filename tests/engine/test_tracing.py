"""Networks are traced by several devices' threads at once, and run by others meanwhile, as if each were alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine.cutting import Cuttable, TracedNetwork, cuttable

FOREVER = 60.0
CALL = nn.Module.__call__


@pytest.fixture(autouse=True)
def modules_are_called_as_before() -> Iterator[None]:
    yield
    found, nn.Module.__call__ = nn.Module.__call__, CALL  # type: ignore[method-assign]
    assert found is CALL, "tracing has left its own way to call modules in place"


class Slow(nn.Module):
    """A network that is not traced before ``may_end`` is set."""

    def __init__(self, may_end: threading.Event) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.begun, self._may_end = threading.Event(), may_end

    def forward(self, x: Tensor) -> Tensor:
        self.begun.set()
        assert self._may_end.wait(FOREVER)
        y: Tensor = self.conv(x)
        return y


class Tracing(threading.Thread):
    """Cuts ``module`` in a thread of its own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(daemon=True)
        self.module, self.ended = module, threading.Event()
        self.cuttable: Cuttable | None = None

    def run(self) -> None:
        try:
            self.cuttable = cuttable(self.module.eval(), "it", 8)
        finally:
            self.ended.set()


def test_a_network_runs_while_another_one_or_itself_is_traced() -> None:
    may_end = threading.Event()
    module = Slow(may_end)
    other, x = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), torch.rand(1, 3, 8, 8)
    expected = other(x), module.conv(x)
    tracing = Tracing(module)
    tracing.start()
    try:
        assert module.begun.wait(FOREVER)
        assert torch.equal(other(x), expected[0])
        assert torch.equal(module.conv(x), expected[1])
    finally:
        may_end.set()
        tracing.join(FOREVER)
    assert isinstance(tracing.cuttable, TracedNetwork)
    assert list(tracing.cuttable.node_names) == ["x", "conv"]


def test_two_networks_that_are_traced_at_once_are_traced_one_after_the_other() -> None:
    first_may_end = threading.Event()
    first = Tracing(Slow(first_may_end))
    second = Tracing(Slow(first.ended))  # which ends after the first, wherever it began
    assert isinstance(first.module, Slow)
    assert isinstance(second.module, Slow)
    first.start()
    assert first.module.begun.wait(FOREVER)
    second.start()
    second.module.begun.wait(0.2)  # it must not begin; if it does, the first one ends in the middle of it
    first_may_end.set()
    for tracing in (first, second):
        tracing.join(FOREVER)
        assert isinstance(tracing.cuttable, TracedNetwork)
