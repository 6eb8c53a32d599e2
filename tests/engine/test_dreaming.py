"""What a dream is: the score rises, and the picture stays a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepdream_engine import DreamJob, Engine, Objective, Program, Schedule
from deepdream_engine.errors import BadOption, BadPicture, Cancelled
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.pyramid import octaves_of
from deepdream_engine.records import Ascent, Step

from .conftest import DREAMNET, TINY, job, with_schedule


@pytest.mark.parametrize("tap", ["conv2", "mixed3b", "mixed4c", "mixed5b"])
def test_the_score_rises(engine: Engine, clouds: Callable[..., Tensor], tap: str) -> None:
    picture = clouds(96, 128)
    (dream,) = engine.dream([job(picture, network=DREAMNET, tap=tap, steps=4)])
    network = TappedNetwork(LoadedNetwork(DREAMNET), (tap,)).to(torch.float32)
    before, after = (network(x[None])[tap].square().sum() for x in (picture, dream.pixels))
    assert after > 1.5 * before


def test_a_dream_is_a_picture_of_the_same_size_in_range(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    for size in ((33, 70), (64, 41)):
        (dream,) = engine.dream([job(clouds(*size), steps=5)])
        assert dream.pixels.shape == (3, *size)
        assert dream.pixels.dtype == torch.float32
        assert dream.pixels.min() >= 0
        assert dream.pixels.max() <= 1


def test_the_same_job_gives_the_same_dream_and_another_seed_another(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    picture = clouds(48, 48)
    one, again, other = engine.dream([job(picture), job(picture), job(picture, seed=1)])
    assert torch.equal(one.pixels, again.pixels)
    assert not torch.equal(one.pixels, other.pixels)


def test_step_size_is_in_levels_per_step(engine: Engine) -> None:
    grey = torch.full((3, 40, 40), 0.5) + 0.01 * torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(0))
    (dream,) = engine.dream([job(grey, octaves=1, steps=1, step_size=3.0)])
    assert (dream.pixels - grey).abs().mean().item() * 255 == pytest.approx(3.0, rel=0.02)


def test_a_margin_keeps_opposite_borders_from_meeting(engine: Engine) -> None:
    # Black above, white below: the cyclic shift joins the two at the border, which excites edge detectors there.
    picture = torch.linspace(0.1, 0.9, 96)[None, :, None].expand(3, 96, 96).contiguous()

    def border_change(margin: int) -> float:
        (dream,) = engine.dream([job(picture, network=DREAMNET, tap="conv2", octaves=1, steps=4, margin_px=margin)])
        change = (dream.pixels - picture).abs().mean(dim=(0, 2))
        return (change[:4].mean() / change[40:56].mean()).item()

    assert border_change(32) < 0.5 * border_change(0)


def test_octaves_smaller_than_the_network_can_see_are_left_out() -> None:
    octaves = octaves_of((100, 60), Schedule(octaves=9, octave_scale=2.0), min_side_px=20)
    assert [octave.size for octave in octaves] == [(50, 30), (100, 60)]


def test_lists_give_each_octave_its_own_numbers_counted_from_the_largest() -> None:
    schedule = Schedule(octaves=3, octave_scale=2.0, steps=(1, 2, 3), step_size=(9.0, 8.0, 7.0), jitter_px=(4, 5, 6))
    octaves = octaves_of((100, 60), schedule, min_side_px=20)
    assert [(o.size[0], o.steps, o.step_size, o.jitter_px) for o in octaves] == [(50, 2, 8.0, 5), (100, 3, 7.0, 6)]


def test_octaves_above_the_picture_are_dreamt_and_shrunk_again(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    octaves = octaves_of((100, 60), Schedule(octaves=3, octave_scale=1.5, octaves_above=1), min_side_px=20)
    assert [octave.size for octave in octaves] == [(67, 40), (100, 60), (150, 90)]
    (dream,) = engine.dream([job(clouds(50, 70), octaves=2, octaves_above=1)])
    assert dream.pixels.shape == (3, 50, 70)


def test_a_list_of_another_length_than_there_are_octaves_is_refused(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    with pytest.raises(BadOption, match="steps: 2 values for 3 octaves"):
        engine.dream([with_schedule(job(clouds(48, 48)), octaves=3, steps=(1, 2))])


def test_a_picture_smaller_than_the_networks_minimum_is_refused(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    with pytest.raises(BadPicture, match=r"7 × 30 pixels; model 'tiny' needs at least 8"):
        engine.dream([job(clouds(30, 7))])


def test_a_caller_can_stop_between_steps(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    fractions: list[float] = []
    stream = engine.stream(
        [job(clouds(48, 48), steps=20)],
        on_progress=lambda index, fraction: fractions.append(fraction),
        should_stop=lambda: len(fractions) >= 3,
    )
    with pytest.raises(Cancelled):
        next(stream)
    assert len(fractions) == 3


def test_progress_rises_to_one(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    fractions: list[float] = []
    engine.dream([job(clouds(48, 48), octaves=3, steps=4)], on_progress=lambda _, fraction: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert len(fractions) == 12
    assert fractions[-1] == pytest.approx(1)


def test_bf16_is_another_picture_of_the_same_dream(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    picture = clouds(96, 96)
    exact = job(picture, network=DREAMNET, tap="mixed4c", octaves=1, steps=3)
    reduced = replace(exact, program=replace(exact.program, precision="bf16"))
    one, other = (engine.dream([each])[0].pixels for each in (exact, reduced))
    moved = (one - picture).abs().mean()
    assert 0 < (one - other).abs().mean() < 0.6 * moved


def test_repeats_start_from_the_dream_before(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    picture = clouds(40, 40)
    once = with_schedule(job(picture), octaves=1, steps=2, jitter_px=0)
    (first,) = engine.dream([once])
    (by_hand,) = engine.dream([replace(once, pixels=first.pixels)])
    (twice,) = engine.dream([with_schedule(once, repeats=2)])
    assert torch.equal(twice.pixels, by_hand.pixels)


def test_an_octave_may_take_over_the_picture_instead_of_the_detail(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    picture = clouds(64, 64) + 0.2 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(1))
    still = with_schedule(job(picture.clamp(0, 1)), octave_scale=2.0, step_size=1e-6)

    def lost(**schedule: object) -> float:
        (dream,) = engine.dream([with_schedule(still, **schedule)])
        return (dream.pixels - still.pixels).abs().mean().item()

    assert lost(carry="detail") < 1e-5  # the source's own detail stays
    blurred = lost(carry="picture")
    assert blurred > 0.02
    assert lost(carry="picture", carry_blend=0.5) == pytest.approx(blurred / 2, rel=0.01)


@pytest.mark.parametrize(
    "schedule",
    [
        {"octaves": 1},
        {"octaves": 2},
        {"octaves": 2, "carry": "picture"},
        {"octaves": 2, "octaves_above": 1},
        {"octaves": 2, "lock": "histogram"},
        {"octaves": 1, "repeats": 3, "lock": "mean"},
    ],
)
def test_a_mask_confines_the_dream_to_the_pixel(
    engine: Engine, clouds: Callable[..., Tensor], schedule: dict[str, object]
) -> None:
    picture = clouds(48, 64)
    mask = torch.zeros(1, 48, 64)
    mask[:, 10:30, 20:50] = 1
    (dream,) = engine.dream([replace(with_schedule(job(picture, margin_px=8), **schedule), mask=mask)])
    changed = (dream.pixels != picture).any(dim=0)
    assert not changed[mask[0] == 0].any()
    assert changed[mask[0] == 1].float().mean() > 0.9


@pytest.mark.parametrize("margin_px", [0, 8])
def test_a_score_that_looks_at_the_source_sees_the_source_in_every_round(
    engine: Engine, clouds: Callable[..., Tensor], margin_px: int
) -> None:
    seen: list[Tensor] = []

    def score(activations: object, _options: object) -> Tensor:
        seen.append(activations.source.clone())  # type: ignore[attr-defined]
        return activations["relu2"].square().sum((1, 2, 3))  # type: ignore[index]

    program = Program(
        network=TINY, objective=Objective(key=("seeing", margin_px), taps=("relu2",), score=score, needs_source=True)
    )
    one = with_schedule(job(clouds(40, 50), margin_px=margin_px), octaves=2, steps=1, repeats=3, jitter_px=0)
    engine.dream([replace(one, program=program)])
    assert len(seen) == 6
    for round_ in (1, 2):
        for octave in (0, 1):
            assert torch.equal(seen[2 * round_ + octave], seen[octave])


def test_the_spectrum_of_a_picture_can_be_dreamt_under_a_mask(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    picture = clouds(48, 64)
    mask = torch.zeros(1, 48, 64)
    mask[:, :, 32:] = 1
    (dream,) = engine.dream([replace(job(picture, octaves=1), canvas="fourier", mask=mask)])
    change = (dream.pixels - picture).abs()
    assert change[:, :, :32].max() == 0
    assert change[:, :, 32:].mean() > 1 / 255


def test_a_score_that_is_reached_ends_the_octave(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    unbounded = job(clouds(48, 48), octaves=1, steps=6)
    scores = []

    def score(activations: object, _options: object) -> Tensor:
        scores.append(activations["relu2"].square().sum((1, 2, 3)) / 2)  # type: ignore[index]
        return scores[-1]

    watched = replace(unbounded.program, objective=Objective(key="watched", taps=("relu2",), score=score))
    unbounded = replace(unbounded, program=watched)
    engine.dream([unbounded])
    stop = scores[-3].item()
    assert scores[-4] < stop
    (stopped,) = engine.dream([with_schedule(unbounded, stop_score=stop - 1e-3)])
    steps_taken = with_schedule(unbounded, steps=4)
    # The shifts are drawn for all steps of an octave at once, so fewer steps have the same ones.
    (expected,) = engine.dream([steps_taken])
    assert torch.equal(stopped.pixels, expected.pixels)


def test_an_ascent_may_keep_what_it_is_given(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    steps: list[Step] = []

    def last_gradient(gradient: Tensor, state: dict[str, Tensor], step: Step) -> Tensor:
        steps.append(step)
        assert (step.index == 0) == ("last" not in state)
        direction = state.get("last", torch.zeros_like(gradient))
        state["last"] = gradient.div_(gradient.abs().mean())
        return direction

    ascent: Ascent = last_gradient
    picture = clouds(48, 48)
    (delayed,) = engine.dream([replace(job(picture, octaves=1, steps=2, jitter_px=0), ascent=ascent)])
    (plain,) = engine.dream([job(picture, octaves=1, steps=1, jitter_px=0)])
    assert torch.allclose(delayed.pixels, plain.pixels, atol=1e-6)
    assert [(step.index, step.count, step.octave) for step in steps] == [(0, 2, 0), (1, 2, 0)]


def test_transforms_change_the_view_and_gradients_come_back_through_them(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    def flipped(picture: Tensor, _generator: torch.Generator) -> Tensor:
        return picture.flip(-1)

    picture = clouds(48, 64)
    mirrored = job(picture.flip(-1), octaves=1, steps=3, jitter_px=0)
    (expected,) = engine.dream([mirrored])
    (dream,) = engine.dream([replace(mirrored, pixels=picture, transforms=(flipped,))])
    assert torch.allclose(dream.pixels.flip(-1), expected.pixels, atol=1e-6)


def test_a_score_without_taps_needs_no_network(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    def redness(activations: object, _options: object) -> Tensor:
        return activations.pixels[:, 0].sum((1, 2))  # type: ignore[attr-defined]

    program = Program(network=TINY, objective=Objective(key="red", taps=(), score=redness))
    (dream,) = engine.dream([DreamJob(pixels=clouds(32, 32), program=program, schedule=Schedule(octaves=1, steps=2))])
    assert (dream.pixels - clouds(32, 32))[0].mean() > 0.02
