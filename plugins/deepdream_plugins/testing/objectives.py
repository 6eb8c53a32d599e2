"""Checks of objectives: the score is one number per picture, has a gradient, rises, and depends on no neighbour."""

from __future__ import annotations

import torch
from torch import Tensor

from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.records import Schedule
from deepdream_plugins.records import ObjectiveSpec, Tap
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.tiny import a_picture, engine
from deepdream_plugins.testing.trials import Look, Scored, Trial, activations_of, call, rescored, score, word_of

_TOLERANCE = 1e-4
"""Relative to the largest value: float32 sums in another order differ by less."""
_SMALL_STEPS = (2.0, 1.0, 0.5, 0.25)


def check_objective(spec: ObjectiveSpec, /, **options: object) -> None:
    """Check that the score is finite, one number per picture, differentiable, and that dreaming makes it higher.

    The dream is a real one: eight steps of the engine on the tiny network. Raises ``AssertionError`` with what to
    mend; a wrong option is a ``BadOption``.
    """
    trial = Trial(spec, options)
    looks = [trial.look(a_picture(seed=seed)) for seed in range(3)]
    scored = score(spec, looks)
    of = word_of(spec)
    if not scored.scores.isfinite().all():
        raise Broken(f"{of} is {_first_bad(scored.scores)}. {_BE_FINITE}")
    if not scored.scores.requires_grad:
        raise Broken(f"{of} has no gradient. {_BE_DIFFERENTIABLE}")
    _check_gradient(scored, of, "", may_be_zero=spec.only_added)
    # Large even areas, and black ones behind a ReLU, are as common in pictures as anything.
    black = score(spec, looks, scale=0.0)
    if not black.scores.isfinite().all():
        raise Broken(f"{of} is {_first_bad(black.scores)} where nothing is active. {_BE_FINITE}")
    if black.scores.requires_grad:
        _check_gradient(black, of, " where nothing is active", may_be_zero=True)
    if spec.only_added:
        _check_rises_elsewhere(trial, looks[0])
    else:
        _check_rises(trial, looks[0])


_BE_FINITE = (
    "Keep divisors and what roots and logarithms are taken of away from zero, as in .clamp(min=1e-6): one such value "
    "spoils the whole dream."
)
_BE_DIFFERENTIABLE = (
    "It must be computed from the activations or activations.pixels by differentiable operations: no .detach(), no "
    "torch.no_grad(), no argmax, round or comparison on the way."
)


def _first_bad(values: Tensor) -> float:
    return float(values.detach()[~values.isfinite()][0])


def _check_gradient(scored: Scored, of: str, when: str, *, may_be_zero: bool) -> None:
    with calling(f"the gradient of {of.removeprefix('the ')}", _BE_DIFFERENTIABLE):
        gradients = scored.gradients
    if not all(gradient.isfinite().all() for gradient in gradients):
        raise Broken(
            f"{of} has a gradient that is not finite{when}. {_BE_FINITE} A square root or a norm has an infinite slope "
            f"at zero."
        )
    if not (may_be_zero or any(gradient.any() for gradient in gradients)):
        raise Broken(
            f"{of} has a gradient of zero everywhere, so nothing would be amplified. {_BE_DIFFERENTIABLE} If it is "
            f"zero at the source by nature, say only_added=True."
        )


def _check_rises(trial: Trial, look: Look) -> None:
    of = word_of(trial.spec)
    before = rescored(trial, look, look.picture[0])
    job = trial.job(look.picture[0], Schedule(octaves=1, steps=8, step_size=2.0, jitter_px=0))
    try:
        (dream,) = engine().dream([job])
    except DeepDreamError as error:
        raise Broken(f"{of}: the engine could not dream with it: {error}") from error
    after = rescored(trial, look, dream.pixels)
    if not after > before:
        raise Broken(
            f"{of} fell from {before:g} to {after:g} over 8 steps of the engine: its gradient does not lead uphill. "
            f"Look for a .detach() on part of it, or an autograd function of its own with the wrong sign."
        )


def _check_rises_elsewhere(trial: Trial, look: Look) -> None:
    """Follow the gradient from a picture that has left its source, where alone such a score has one."""
    strayed = (look.picture + 0.05 * (a_picture(seed=9) - 0.5)).clamp(0, 1)
    pixels = strayed.requires_grad_()
    with torch.enable_grad():
        seen = activations_of(look.runner, look.runner.network(pixels), pixels, look.picture)
        scores = call(trial.spec, seen, [look])
    (gradient,) = torch.autograd.grad(scores.sum(), pixels, allow_unused=True, materialize_grads=True)
    if not gradient.any():
        raise Broken(f"{word_of(trial.spec)} has no gradient away from the source either. {_BE_DIFFERENTIABLE}")
    direction = gradient / gradient.abs().mean() / 255
    before = rescored(trial, look, strayed.detach()[0])
    found = [rescored(trial, look, (strayed.detach() + size * direction)[0]) for size in _SMALL_STEPS]
    if not (max(found) > before):
        raise Broken(
            f"{word_of(trial.spec)} does not rise along its own gradient: {before:g} before, {max(found):g} after."
        )


def check_batch_invariance(spec: ObjectiveSpec, /, **options: object) -> None:
    """Check that every picture's score and gradient are the same alone as among others with other options, in any
    order: whatever couples the pictures of a batch (a mean over it, batch normalisation, sorting) is found.

    Raises ``AssertionError`` with what to mend; a wrong option is a ``BadOption``.
    """
    trial = Trial(spec, options)
    looks = [_neighbour(trial, number) for number in range(3)]
    alone = [score(spec, [look]) for look in looks]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2)):
        together = score(spec, [looks[number] for number in order])
        gradients = together.gradients if together.scores.requires_grad else ()
        for row, number in enumerate(order):
            _same(spec, "score", together.scores[row], alone[number].scores[0], len(order))
            own = alone[number].gradients if alone[number].scores.requires_grad else ()
            for beside, single in zip(gradients, own, strict=False):
                _same(spec, "gradient", beside[row], single[0], len(order))


def check_flat_layer(spec: ObjectiveSpec, /, **options: object) -> None:
    """Check that the score of a layer without places, ``(N, K)`` like the network's output, is one number per picture,
    too, or that the objective refuses such a layer by a ``BadOption``.

    Raises ``AssertionError`` with what to mend. Options that name layers are chosen here.
    """
    taps = {option.name: ["logits"] if option.many else "logits" for option in spec.options if option.type is Tap}
    if not taps:
        return
    try:
        trial = Trial(spec, {**options, **taps})
        score(spec, [trial.look(a_picture(seed=seed)) for seed in range(2)])
    except BadOption:
        return
    except AssertionError as error:
        raise Broken(
            f"{error} This layer, logits, is (N, K) and has no places. Reduce over whatever there is, as in "
            f".flatten(1).mean(dim=1), or refuse it: give the record a check that raises BadOption where "
            f"len(shapes[layer]) is not 4."
        ) from error


def _neighbour(trial: Trial, number: int) -> Look:
    """Return a picture of another brightness and contrast than its neighbours, with options of its own if it may."""
    picture = a_picture(seed=number).mul_(0.35 + 0.3 * number)
    if number:
        try:
            return trial.neighbour(number).look(picture)
        except BadOption:
            pass  # the objective refuses values that fit by their bounds; those of its neighbour will do
    return trial.look(picture)


def _same(spec: ObjectiveSpec, what: str, beside: Tensor, alone: Tensor, count: int) -> None:
    beside, alone = beside.detach(), alone.detach()  # () each, or of the shape of one picture's leaf
    bound = _TOLERANCE * float(alone.abs().max()) + 1e-12
    difference = float((beside - alone).abs().max())
    if difference <= bound:
        return
    told = f"another {what} among {count} than alone"
    if not alone.ndim:
        told = f"the {what} {float(beside):g} among {count} and {float(alone):g} alone"
    raise Broken(f"{word_of(spec)} couples the batch: a picture has {told}. {_STAY_APART}")


_STAY_APART = (
    "Reduce over dimensions 1, 2 and 3, never over 0 (the batch); no batch normalisation, no sorting or maximum over "
    "pictures; and use every entry of per-picture options, which arrive as tensors (N,), each for its own picture."
)
