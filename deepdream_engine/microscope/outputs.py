"""What a network's output means: an :class:`Output` gives evidence without bounds, and probabilities of it.

Most networks end in a logit for each of several classes, of which one is true: a softmax makes them probabilities. One
output alone says yes or no: that is a sigmoid's. Networks are exported with either inside, too, and a softmax of
probabilities stays near 1/K whatever is shown: so they are turned back first, as far as they can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepdream_engine.microscope.eyes import nothing_in_particular
from deepdream_engine.microscope.occlusion import Evidence

Probability = Callable[[Tensor], Tensor]
"""Evidence ``(N, K)`` to probabilities ``(N, K)``."""

_BLANKS = 16
_EXAGGERATED = 100.0
"""No picture has such contrasts: with them logits leave [0, 1], and probabilities cannot."""
_SUM_ERROR = 1e-3
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Output:
    """The ``evidence`` for each class, without bounds, and the ``probability`` that such evidence stands for.

    ``kind`` is what the network itself gives: ``logits``, ``one logit``, or probabilities of a ``softmax`` or
    ``sigmoid``.
    """

    kind: str
    evidence: Evidence
    probability: Probability


def read_output(given: Evidence, side_px: int) -> Output:
    """Return how the output ``given`` is to be read, by what it is on pictures of ``side_px`` squared."""
    blanks = nothing_in_particular(_BLANKS, side_px)
    seen = given(torch.cat([blanks, (blanks - 0.5) * _EXAGGERATED + 0.5]))  # (N, K)
    if not bool(((seen >= 0) & (seen <= 1)).all()):
        return Output("one logit", given, torch.sigmoid) if seen.shape[1] == 1 else Output("logits", given, softmax)
    if seen.shape[1] > 1 and float((seen.sum(dim=1) - 1).abs().max()) <= _SUM_ERROR:
        return Output("softmax", lambda pictures: given(pictures).clamp_min(_LEAST_PROBABILITY).log(), softmax)
    return Output("sigmoid", lambda pictures: given(pictures).logit(_LEAST_PROBABILITY), torch.sigmoid)


def softmax(evidence: Tensor) -> Tensor:
    """Return the probabilities ``(N, K)`` of classes that exclude each other."""
    return evidence.softmax(dim=1)
