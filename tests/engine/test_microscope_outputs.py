"""What an output means is found out, so that a mark is found whichever way the network says how sure it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.outputs import read_output
from deepdream_engine.microscope.suspicion import suspicion


def magenta(pictures: Tensor) -> Tensor:
    """Return the logit ``(N, 1)`` of how magenta the top left corner is."""
    red, green, blue = pictures[:, :, 1:6, 1:6].mean((2, 3)).unbind(1)
    return (12 * (torch.minimum(red, blue) - green) - 5)[:, None]


def several(pictures: Tensor) -> Tensor:
    """Return logits ``(N, 3)``, of which the first is of the corner."""
    mark = magenta(pictures)
    return torch.cat([mark, pictures.mean((1, 2, 3))[:, None], torch.zeros_like(mark)], dim=1)


OUTPUTS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "logits": (several, lambda pictures: several(pictures).softmax(1)),
    "softmax": (lambda pictures: several(pictures).softmax(1), lambda pictures: several(pictures).softmax(1)),
    "one logit": (magenta, lambda pictures: magenta(pictures).sigmoid()),
    "sigmoid": (lambda pictures: several(pictures).sigmoid(), lambda pictures: several(pictures).sigmoid()),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_probabilities_are_what_the_network_means_and_a_mark_raises_them(kind: str) -> None:
    given, meant = OUTPUTS[kind]
    output = read_output(given, 32)
    assert output.kind == kind
    pictures = nothing_in_particular(6, 32, seed=3)
    pictures[::2, :, 1:6, 1:6] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    torch.testing.assert_close(output.probability(output.evidence(pictures)), meant(pictures), atol=1e-4, rtol=1e-3)
    mark = suspicion(output.evidence, 32, 0, probability=output.probability)
    assert mark.is_suspicious
    assert (mark.sticker.words, mark.place.words) == ("magenta", "top left corner")


def test_a_single_probability_is_not_taken_for_a_logit() -> None:
    assert read_output(lambda pictures: magenta(pictures).sigmoid(), 32).kind == "sigmoid"


def test_logits_that_happen_to_be_small_are_not_taken_for_probabilities() -> None:
    def small(pictures: Tensor) -> Tensor:
        return 0.1 * pictures.mean((2, 3)).relu()

    seen = small(nothing_in_particular(16, 32))
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert read_output(small, 32).kind == "logits"


def test_a_class_that_is_probable_already_has_nothing_to_gain() -> None:
    def evidence(pictures: Tensor) -> Tensor:
        return magenta(pictures).relu() + 4

    output = read_output(evidence, 32)
    found = suspicion(output.evidence, 32, 0, probability=output.probability)
    assert found.before > 0.95
    assert not found.can_gain
    assert not found.is_suspicious
