"""Deliberately wrong plugins: each is caught, with a message that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deepdream_engine.errors import BadOption
from deepdream_engine.records import Schedule
from deepdream_plugins import testing
from deepdream_plugins.records import (
    AscentSpec,
    FilterSpec,
    ModelSpec,
    ObjectiveSpec,
    Option,
    ScheduleSpec,
    SinkSpec,
    Tap,
    TapNote,
    TransformSpec,
)

LAYER = Option(name="layer", type=Tap, help="h")
POWER = Option(name="power", type=float, default=2.0, minimum=1, maximum=3, per_picture=True, help="h")
Score = Callable[[torch.Tensor], Any]


def objective(score: Score) -> ObjectiveSpec:
    """An objective whose score is a function of the layer's activations alone."""
    return ObjectiveSpec(name="wrong", help="h", score=lambda seen, layer: score(seen[layer]), options=(LAYER,))


def powered(score: Callable[..., Any]) -> ObjectiveSpec:
    """One with the per-picture option ``power`` as well."""
    return ObjectiveSpec(
        name="wrong", help="h", score=lambda seen, layer, power: score(seen[layer], power), options=(LAYER, POWER)
    )


def mean(seen: torch.Tensor) -> torch.Tensor:
    return seen.flatten(1).square().mean(dim=1)


def raising(seen: torch.Tensor) -> torch.Tensor:
    return {}["missing"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (
            lambda seen: seen.mean(),
            r"returned the shape \(\) for 3 pictures; it must be \(3,\), one number per picture",
        ),
        (
            lambda seen: seen.mean(dim=(2, 3)),
            r"returned the shape \(3, 12\) .* reduce over all dimensions but the first",
        ),
        (lambda seen: 1.0, r"returned float; it must return a tensor \(N,\)"),
        (lambda seen: seen.flatten(1).argmax(dim=1), r"returned torch\.int64; it must be a floating type"),
        (
            lambda seen: mean(seen.sqrt()),
            r"score .* is nan\. Keep divisors and what roots .* as in \.clamp\(min=1e-6\)",
        ),
        (lambda seen: mean(seen) / 0, r"score .* is inf"),
        (lambda seen: mean(seen.detach()), r"has no gradient\. .* no \.detach\(\)"),
        (lambda seen: mean(seen.round()), r"gradient of zero everywhere"),
        (lambda seen: seen.square().flatten(1).sum(1).sqrt(), r"gradient that is not finite where nothing is active"),
        (lambda seen: 2 * mean(seen).detach() - mean(seen), r"fell from \S+ to \S+ over 8 .* does not lead uphill"),
        (raising, rf"the score of the objective 'wrong' failed at {__file__}:\d+: KeyError: 'missing'"),
    ],
)
def test_a_wrong_score_is_caught(score: Score, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_objective(objective(score))


def test_a_per_picture_option_without_dimensions_is_caught() -> None:
    testing.check_objective(powered(lambda seen, power: mean(seen.abs().clamp(min=1e-6) ** power.view(-1, 1, 1, 1))))
    with pytest.raises(
        AssertionError, match=r"arrive as tensors \(N,\): give them dimensions with \.view\(-1, 1, 1, 1\)"
    ):
        testing.check_objective(powered(lambda seen, power: mean(seen.abs().clamp(min=1e-6) ** power)))


def test_a_score_that_falls_because_only_another_term_could_lift_it_is_caught() -> None:
    def pull(seen: Any) -> torch.Tensor:
        return (seen.pixels - seen.source).square().flatten(1).sum(dim=1)

    spec = ObjectiveSpec(name="pull", help="h", score=pull, needs_source=True, only_added=True)
    testing.check_objective(spec)  # away from the source is a direction, too
    still = replace(spec, score=lambda seen: seen.pixels.flatten(1).sum(dim=1) * 0)
    with pytest.raises(AssertionError, match="has no gradient away from the source either"):
        testing.check_objective(still)


def batch_norm(seen: torch.Tensor) -> torch.Tensor:
    return mean(nn.functional.batch_norm(seen, None, None, training=True) * seen)


@pytest.mark.parametrize(
    "spec",
    [
        objective(lambda seen: mean(seen) - mean(seen).mean()),
        objective(lambda seen: mean(seen - seen.mean())),
        objective(lambda seen: mean(seen).sort().values),
        objective(lambda seen: mean(seen) / mean(seen).max()),
        objective(lambda seen: mean(seen).mean().expand(len(seen))),
        objective(lambda seen: mean(seen).softmax(dim=0)),
        objective(lambda seen: mean(seen).cumsum(dim=0)),
        objective(batch_norm),
        powered(lambda seen, power: mean(seen) * power[0]),
        powered(lambda seen, power: mean(seen) * power.mean()),
        powered(lambda seen, power: mean(seen) * power.max()),
    ],
    ids=[
        "minus_mean",
        "centred",
        "sorted",
        "share_of_max",
        "mean",
        "softmax",
        "cumulative",
        "batch_norm",
        "first",
        "average",
        "largest",
    ],
)
def test_whatever_couples_the_batch_is_caught(spec: ObjectiveSpec) -> None:
    with pytest.raises(AssertionError, match=r"'wrong' couples the batch: .* Reduce over dimensions 1, 2 and 3, never"):
        testing.check_batch_invariance(spec)


def test_a_gradient_alone_can_couple_the_batch() -> None:
    def score(seen: torch.Tensor) -> torch.Tensor:
        value = mean(seen)
        return value + (value.max() - value.max().detach())  # worth nothing, but with a slope

    with pytest.raises(AssertionError, match="a picture has another gradient among 3 than alone"):
        testing.check_batch_invariance(objective(score))


def branching(seen: torch.Tensor) -> torch.Tensor:
    return mean(seen) if seen.max() > 0 else -mean(seen)


def printing(seen: torch.Tensor) -> torch.Tensor:
    print(f"activations {seen}")
    return mean(seen)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda seen: mean(seen) * seen.max().item(), r"\.item\(\) reads values"),
        (lambda seen: mean(seen) * float(seen.max()), r"float\(\) reads values"),
        (lambda seen: mean(seen[:, : int(seen.max()) + 1]), r"int\(\) reads values"),
        (lambda seen: mean(seen) * seen.detach().max().cpu(), r"\.cpu\(\) reads values"),
        (lambda seen: mean(seen) * seen.detach().max().to("cpu"), r'\.to\("cpu"\) reads values'),
        (lambda seen: mean(seen) + len(seen.nonzero()), r"nonzero\(\) reads values"),
        (lambda seen: mean(seen) + seen[seen > 0].sum(), r"a mask as an index, as in x\[x > 0\], reads values"),
        (lambda seen: mean(seen) + len(torch.where(seen > 0)[0]), r"torch\.where with a condition alone reads values"),
        (lambda seen: mean(seen) * sum(seen.detach()[0, 0, 0].tolist()), r"\.tolist\(\) reads values"),
        (lambda seen: mean(seen) + seen.detach().numpy().max(), r"\.numpy\(\) reads values"),
        (branching, r"the truth of a tensor \(if, while, and, or, not\) reads values"),
        (printing, r"printing a tensor reads values"),
        (lambda seen: mean(seen) * torch.tensor(2.0, device=seen.device), r"tensor\(\) sends numbers to it"),
        (lambda seen: mean(seen) * seen.new_tensor([2.0]), r"new_tensor\(\) sends numbers to it"),
        (lambda seen: mean(seen) * torch.ones(1).to(seen.device), r"\.to\(\) sends a tensor to it"),
    ],
)
def test_whatever_waits_for_the_device_is_caught_with_its_line(score: Score, message: str) -> None:
    with pytest.raises(AssertionError, match=rf"'wrong' waits for the device at {__file__}:\d+: {message}"):
        testing.check_no_sync(objective(score))


def test_tensors_made_on_the_wrong_device_are_caught() -> None:
    with pytest.raises(AssertionError, match="Make tensors with device=, or from those"):
        testing.check_no_sync(objective(lambda seen: mean(seen * torch.ones(seen.shape))))


def test_what_costs_nothing_is_not_called_waiting() -> None:
    def score(seen: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(seen.shape[3], device=seen.device)
        chosen = torch.where(steps % 2 == 0, seen, torch.full_like(seen, 0.5))
        if seen.shape[1] > 3 and chosen.is_floating_point():
            chosen = chosen[:, :3]
        return mean(chosen)

    def flip(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return picture.flip(3) if float(torch.rand((), generator=generator)) < 0.5 else picture

    testing.check_no_sync(objective(score))
    testing.check_no_sync(TransformSpec(name="flip", help="h", apply=flip))


def test_a_filter_does_not_run_in_the_step_loop() -> None:
    with pytest.raises(TypeError, match="FilterSpec does not run in the step loop"):
        testing.check_no_sync(FilterSpec(name="f", help="h", apply=lambda p, c: p))  # type: ignore[arg-type]


def in_place(pictures: torch.Tensor, context: Any) -> torch.Tensor:
    return pictures.mul_(0.5)


def into_the_source(pictures: torch.Tensor, context: Any) -> torch.Tensor:
    context.source.zero_()
    return pictures


def noisy(pictures: torch.Tensor, context: Any) -> torch.Tensor:
    return pictures + 0.01 * torch.rand_like(pictures)


def unsteady(pictures: torch.Tensor, context: Any, calls: list[int] = []) -> torch.Tensor:  # noqa: B006
    calls.append(1)
    return pictures * (1 + 0.001 * len(calls))


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda p, c: None, r"returned NoneType, not a tensor"),
        (lambda p, c: p[0], r"returned the shape \(3, 40, 56\) .* it must be \(1, 3, height, width\)"),
        (lambda p, c: p.mean(dim=1, keepdim=True), r"returned the shape \(1, 1, 40, 56\)"),
        (lambda p, c: p.double(), r"returned torch\.float64; it must be torch\.float32"),
        (lambda p, c: (p * 255).byte(), r"returned torch\.uint8; .* divide bytes by 255"),
        (lambda p, c: p * 255, r"pictures are in \[0, 1\], not in levels of 255"),
        (lambda p, c: 0.1 * p / p.std(), r"not finite on a picture of"),
        (lambda p, c: (p - p.amin()) / (p.amax() - p.amin()), r"not finite .* areas of one colour are common"),
        (lambda p, c: p[:, :, 1:], r"changed the size from 56 × 40 to 56 × 39; a post-filter keeps it"),
        (lambda p, c: p[:, :, :, 2:], r"changed the size"),
        (in_place, r"wrote into its input; others use it"),
        (into_the_source, r"wrote into context\.source"),
        (noisy, r"draws from torch's global generator\. Draw random numbers from torch\.Generator\(\)\.manual_seed"),
        (unsteady, r"something else of a picture alone than among others|two different pictures with the same seed"),
        (lambda p, c: p * 0.5 + p.mean() * 0.5, r"alone than among others; reduce over dimensions 1, 2 and 3, never"),
        (lambda p, c: p.missing, rf"'wrong' on a picture of 56 × 40 failed at {__file__}:\d+: AttributeError"),
    ],
)
def test_a_wrong_filter_is_caught(apply: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_filter(FilterSpec(name="wrong", help="h", apply=apply))


def test_a_size_that_depends_on_the_content_is_caught_where_transparency_follows() -> None:
    def trim(pictures: torch.Tensor, _context: Any) -> torch.Tensor:
        lively = float(pictures.std(correction=0)) > 0.01
        return pictures[:, :, : pictures.shape[2] - 1] if lively and pictures.shape[2] > 1 else pictures

    for check in (testing.check_filter, testing.check_prefilter):
        with pytest.raises(
            AssertionError, match="of its transparency; with moves=True the size may depend on the size and"
        ):
            check(FilterSpec(name="wrong", help="h", apply=trim, moves=True))


def test_a_pre_filter_may_change_the_size_but_not_the_colours_number() -> None:
    testing.check_prefilter(FilterSpec(name="half", help="h", apply=lambda p, c: p[:, :, ::2, ::2]))
    with pytest.raises(AssertionError, match=r"the pre-filter 'wrong' returned the shape"):
        testing.check_prefilter(FilterSpec(name="wrong", help="h", apply=lambda p, c: p[:, :2]))


def forgetful(gradient: torch.Tensor, state: Any, step: Any, kept: dict[str, Any] = {}) -> torch.Tensor:  # noqa: B006
    kept["last"] = gradient.sign() + 0.5 * kept.get("last", 0)
    return kept["last"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (lambda g, s, i: g, r"steps 1e\+03 times as long for a gradient 1000 times as strong\. Divide by the gradient"),
        (lambda g, s, i: -g / g.abs().mean().clamp(min=1e-12), r"leads downhill on its first step"),
        (lambda g, s, i: g / g.abs().mean(), r"not finite for a gradient whose mean absolute value is 0"),
        (lambda g, s, i: g.sign()[:, :, 1:], r"returned the shape \(1, 3, 39, 40\) for a gradient \(1, 3, 40, 40\)"),
        (lambda g, s, i: g.sign() + 0.1, r"moves a picture whose gradient is zero"),
        (
            lambda g, s, i: g.sign() * (1 + torch.rand(())),
            r"draws random numbers: equal gradients must give equal directions",
        ),
        (forgetful, r"remembers something between pictures.*keep it in `state`"),
        (
            lambda g, s, i: g.sign() * g.new_ones(40, 40),
            r'This is the gradient of canvas = "fourier".* raise BadOption',
        ),
        (lambda g, s, i: s["missing"], rf"the ascent 'wrong' failed at {__file__}:\d+: KeyError: 'missing'"),
    ],
)
def test_a_wrong_ascent_is_caught(direction: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_ascent(AscentSpec(name="wrong", help="h", direction=direction))


def test_an_ascent_that_returns_nothing_is_told_the_same_by_every_check() -> None:
    ascent = AscentSpec(name="wrong", help="h", direction=lambda g, s, i: None)
    transform = TransformSpec(name="wrong", help="h", apply=lambda p, g: None)
    for check, spec in ((testing.check_ascent, ascent), (testing.check_transform, transform)):
        for each in (check, testing.check_no_sync):
            with pytest.raises(AssertionError, match=r"^the \w+ 'wrong' returned NoneType, not a tensor\.$"):
                each(spec)


def test_random_numbers_drawn_on_the_device_with_a_generator_of_the_cpu_are_caught() -> None:
    def noisy(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return picture + torch.randn(picture.shape, generator=generator, device=picture.device)

    with pytest.raises(AssertionError, match=r"fails on a GPU at .*: randn\(\) draws on the device with a generator"):
        testing.check_no_sync(TransformSpec(name="wrong", help="h", apply=noisy))


def test_a_score_that_a_layer_without_places_breaks_is_caught() -> None:
    def layered(score: Callable[[torch.Tensor], torch.Tensor], **more: Any) -> ObjectiveSpec:
        return ObjectiveSpec(
            name="wrong",
            help="h",
            score=lambda activations, layer: score(activations[layer]),
            options=(Option(name="layer", type=Tap, help="h"),),
            **more,
        )

    def refuse(shapes: Any, layer: str) -> None:
        raise BadOption(f"layer {layer!r} has no places")

    testing.check_flat_layer(layered(lambda seen: seen.flatten(1).mean(dim=1)))
    testing.check_flat_layer(layered(lambda seen: seen.mean(dim=(1, 2, 3)), check=refuse))
    with pytest.raises(AssertionError, match=r"IndexError.* logits, is \(N, K\) and has no places\. Reduce over"):
        testing.check_flat_layer(layered(lambda seen: seen.mean(dim=(1, 2, 3))))


def test_activations_for_a_test_are_what_the_tiny_network_sees() -> None:
    pictures = torch.stack([testing.a_picture(), testing.a_picture(seed=1)]).requires_grad_()
    seen = testing.tiny_activations(pictures)
    assert {tap: tuple(seen[tap].shape) for tap in seen} == {
        "edges": (2, 8, 40, 40),
        "shapes": (2, 12, 20, 20),
        "logits": (2, 5),
    }
    assert seen.places("shapes")[0, 0, :2, 0].tolist() == pytest.approx([0.025, 0.075])
    torch.testing.assert_close(seen["logits"], testing.tiny_network()((pictures - _MEAN) / _STD))
    seen["shapes"].sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.any()


_MEAN, _STD = (torch.tensor(values).view(1, 3, 1, 1) for values in (testing.TINY.mean, testing.TINY.std))


def test_a_filter_in_double_precision_is_told_how_to_get_back() -> None:
    for wrong, mend in ((lambda p, c: p.double(), r"end with \.float\(\)"), (lambda p, c: p.byte(), "divide bytes by")):
        with pytest.raises(AssertionError, match=mend):
            testing.check_filter(FilterSpec(name="wrong", help="h", apply=wrong))


def random_size(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return picture[:, :, int(torch.randint(0, 5, (), generator=generator)) :]


def darker_in_place(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    with torch.no_grad():
        picture.mul_(0.9)
    return picture


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (random_size, r"makes views of \d sizes from pictures of 40 × 40.* draw where to cut, not how much"),
        (
            lambda p, g: p.roll(int(torch.randint(5, ())), 3),
            r"draws from torch's global generator\. Draw random numbers",
        ),
        (lambda p, g: p.detach(), r"has no gradient\. It must be made of differentiable operations"),
        (lambda p, g: p.round() + 0 * p, r"has a gradient of zero"),
        (lambda p, g: p * torch.ones(1, 3, 1, 1), r"With a mask, .* further channels follow the three colours"),
        (lambda p, g: p[:, :3], r"it must be \(1, 7, h, w\)\. With a mask"),
        (
            lambda p, g: torch.cat([p[:, :3] - p.mean(dim=1, keepdim=True) + 0.5, p[:, 3:]], dim=1),
            r"something else of the colours when other channels travel",
        ),
        (lambda p, g: p * 0.9, r"changes the values of the channels behind the colours\. With a mask"),
        (
            lambda p, g: p + 0.1 * torch.randn(p.shape, generator=g),
            r"changes the values of the channels behind the colours\. With a mask",
        ),
        (darker_in_place, r"wrote into its picture, which is the canvas itself"),
        (lambda p, g: p * 255, r"returned values around .*; views are in \[0, 1\]"),
    ],
)
def test_a_wrong_transform_is_caught(apply: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_transform(TransformSpec(name="wrong", help="h", apply=apply))


def test_an_ascent_and_a_transform_that_read_values_are_caught() -> None:
    ascent = AscentSpec(name="wrong", help="h", direction=lambda g, s, i: g / float(g.abs().mean()))
    with pytest.raises(AssertionError, match=rf"the ascent 'wrong' waits .*{__file__}:\d+: float\(\) reads values"):
        testing.check_no_sync(ascent)
    transform = TransformSpec(name="wrong", help="h", apply=lambda p, g: p.flip(3) if p.mean() > 0.5 else p)
    with pytest.raises(AssertionError, match=r"the transform 'wrong' waits .* the truth of a tensor"):
        testing.check_no_sync(transform)


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (lambda s, h, w: None, "returned NoneType, not a Schedule"),
        (lambda s, h, w: replace(s, octaves=h // 100), "The picture had 1 × 1 pixels, and the recipe said"),
        (lambda s, h, w: replace(s, steps=s.steps * 2), "steps, step_size and jitter_px may be tuples"),
        (lambda s, h, w: replace(s, octaves=2), "values for 2 octaves"),
        (lambda s, h, w: Schedule(octaves=2, octaves_above=2), "leave one for the picture itself"),
        (lambda s, h, w: Schedule(steps=1 + int(torch.randint(1000, ()))), "must not draw random numbers"),
    ],
)
def test_a_wrong_schedule_is_caught(arrange: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_schedule(ScheduleSpec(name="wrong", help="h", arrange=arrange))


class Coupled(nn.Module):
    """Normalises by the statistics of the batch, even when it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(pictures))  # type: ignore[no-any-return]


def model(**changes: Any) -> ModelSpec:
    return replace(testing.TINY, name="wrong", build=None, **changes)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (model(load=lambda weights: None), "load returned NoneType, not a torch.nn.Module"),
        (model(taps=(TapNote(name="nowhere", shows="s"),), default_tap="nowhere"), "Taps are names of submodules"),
        (model(taps=(TapNote(name="edges", shows="s"),)), "taps does not list the default tap 'shapes'"),
        (model(aliases={"friend": "nowhere"}), "unknown layer of model 'wrong' 'friend'"),
        (model(classes=lambda: ("one", "two")), r"classes names 2, but .* shape \(1, 5\); it must be \(N, 2\)"),
        (
            model(load=lambda weights: Coupled(), taps=(), default_tap="conv", classes=None),
            "depends on the pictures beside it. Use running statistics",
        ),
        (
            model(load=lambda weights: nn.Sequential(nn.Conv2d(3, 4, 31)), taps=(), default_tap="0", classes=None),
            "raise min_side_px",
        ),
        (
            replace(testing.TINY, build=lambda: nn.Sequential(nn.Conv2d(3, 4, 3))),
            "build makes another network than load",
        ),
    ],
    ids=["none", "no_such_tap", "default_not_listed", "alias", "classes", "coupled", "too_small", "build"],
)
def test_a_wrong_model_is_caught(spec: ModelSpec, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_model(spec)


def test_a_wrong_sink_is_caught() -> None:
    def spoil(delivery: Any) -> None:
        Path(delivery.output).write_bytes(b"")

    def once(delivery: Any) -> None:
        (Path(delivery.state) / delivery.key).mkdir()

    def sink(deliver: Callable[..., Any], **changes: Any) -> SinkSpec:
        return SinkSpec(name="wrong", help="h", deliver=deliver, **changes)

    with pytest.raises(AssertionError, match=r"the sink 'wrong' changed 'photo\.classic\.jpg'"):
        testing.check_sink(sink(spoil))
    with pytest.raises(
        AssertionError, match=rf"delivery 2 of 'photo\.classic\.jpg' failed at {__file__}.*FileExistsError"
    ):
        testing.check_sink(sink(once))
    with pytest.raises(AssertionError, match="returned bool; it must return nothing, and raise an error"):
        testing.check_sink(sink(lambda delivery: True))
    with pytest.raises(AssertionError, match="limit_seconds is 0; say how long"):
        testing.check_sink(sink(lambda delivery: None, limit_seconds=0.0))
    with pytest.raises(
        AssertionError, match=r"check failed at .*ZeroDivisionError.* Raise BadOption for what does not"
    ):
        testing.check_sink(sink(lambda delivery: None, check=lambda: 1 // 0))  # type: ignore[arg-type, return-value]
