"""Several different pictures of one thing: each is to look unlike those before it.

lucid's way (Olah, Mordvintsev and Schubert, "Feature Visualization", Distill, 2017) makes the pictures of a batch
repel each other. Here no picture sees its neighbours: each is repelled by the finished ones, which are its guides, so
that the same picture comes out alone and among others, and a run that was stopped goes on with the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deepdream_engine.activations import Activations, Look
from deepdream_engine.records import Objective

BEFORE = "unlike"
"""What the names of the guides begin with that a picture is to be unlike."""
_WEIGHT, _SLOPE = "unlike weight", "unlike slope"


def unlike(objective: Objective, tap: str, weight: float = 1.0) -> Objective:
    """Return ``objective`` less ``weight`` times how much the picture looks, at ``tap``, like its guides ``unlike…``.

    Likeness is the cosine between the correlations of channels, which tell a style wherever it is. It is weighed so
    that at the start its gradient is as strong as that of the objective; without guides nothing changes.
    """
    taps = objective.taps if tap in objective.taps else (*objective.taps, tap)

    def prepare(look: Look, options: Mapping[str, object]) -> Mapping[str, Tensor]:
        prepared = dict(objective.prepare(look, options)) if objective.prepare is not None else {}
        earlier = [_style(seen[tap])[0] for name, seen in look.guides.items() if name.startswith(BEFORE)]
        own = _style(look[tap])[0]  # (D,)
        mean = torch.stack(earlier).mean(0) if earlier else torch.zeros_like(own)

        def likeness(activations: Activations) -> Tensor:
            return (_style(activations[tap]) * mean).sum(1)

        def wanted(activations: Activations) -> Tensor:
            rows: dict[str, Any] = {name: value[None] for name, value in prepared.items()}
            for name, value in options.items():  # as a pass stacks them: what is static stays as it is
                is_own = isinstance(value, int | float) and name not in objective.static
                rows.setdefault(name, torch.tensor([value], device=own.device) if is_own else value)
            return objective.score(activations, rows)

        ratio = look.strength(wanted) / look.strength(likeness).clamp_min(1e-12) if earlier else own.new_zeros(())
        return {**prepared, _SLOPE: mean, _WEIGHT: weight * ratio}

    def score(activations: Activations, options: Mapping[str, object]) -> Tensor:
        mean, factor = options[_SLOPE], options[_WEIGHT]
        assert isinstance(mean, Tensor)
        assert isinstance(factor, Tensor)
        given = {name: value for name, value in options.items() if name not in (_SLOPE, _WEIGHT)}
        return objective.score(activations, given) - factor * (_style(activations[tap]) * mean).sum(1)

    return replace(objective, key=(objective.key, "unlike", tap, weight), taps=taps, score=score, prepare=prepare)


def _style(seen: Tensor) -> Tensor:
    """Return the correlations of the channels of ``(N, C, h, w)`` as unit vectors ``(N, C * C)``."""
    flat = seen.flatten(2)  # (N, C, P)
    flat = flat - flat.mean(dim=2, keepdim=True)
    gram = flat @ flat.transpose(1, 2) / flat.shape[2]
    return functional.normalize(gram.flatten(1), dim=1, eps=1e-8)
