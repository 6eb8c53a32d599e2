"""Coherence: patterns stay on what they grew on, neither fade nor pile up, and flicker far less than others'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import DreamJob, Engine
from deepdream_engine.benchmark.flicker import blended, by_itself, coherent, flicker, matches_of, measure_flicker
from deepdream_engine.errors import BadOption
from deepdream_engine.motion.coherence import Coherence, detail_of, strength_of
from deepdream_engine.motion.journey import frame_seed

from .conftest import DREAMNET, job

pytest.importorskip("cv2")

Clouds = Callable[..., Tensor]


def textured(clouds: Clouds, height: int, width: int, seed: int = 0) -> Tensor:
    """Clouds with something on them that can be followed."""
    blocks = torch.rand(1, 3, -(-height // 4), -(-width // 4), generator=torch.Generator().manual_seed(seed))
    fine = nn.functional.interpolate(blocks, (height, width), mode="bicubic")[0]
    return (0.15 + 0.4 * clouds(height, width, seed) + 0.25 * fine).clamp(0, 1)


def film_of(
    clouds: Clouds, count: int, *, height: int = 64, width: int = 96, grain: float = 0.5, seed: int = 0
) -> list[Tensor]:
    """A view that moves over clouds, past a square that moves the other way, with a camera's grain."""
    wide = textured(clouds, height, width + 3 * count, seed)
    square = textured(clouds, height // 3, height // 3, seed + 9)
    frames = []
    for number in range(count):
        frame = wide[:, :, 2 * number : 2 * number + width].clone()
        side, left = height // 3, width // 4 + number
        frame[:, side : 2 * side, left : left + side] = square[:, :, : width - left]
        random = torch.Generator().manual_seed(number)
        frames.append((frame + torch.randn(frame.shape, generator=random) * (grain / 255)).clamp(0, 1))
    return frames


def stage(start: Tensor) -> DreamJob:
    return job(start, network=DREAMNET, tap="mixed4b", octaves=2, steps=8, step_size=2.0)


def sharpness(picture: Tensor) -> float:
    grey = picture.mean(0)
    inner = grey[1:-1, 1:-1] * 4 - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return inner.abs().mean().item()


def test_it_flickers_a_third_as_much_as_frames_by_themselves_and_less_than_a_plain_blend(
    engine: Engine, clouds: Clouds
) -> None:
    found = measure_flicker(engine, film_of(clouds, 6, height=96, width=128), stage, Coherence())
    assert found.times_less >= 3, found
    assert found.coherent < found.one_seed / 2, found
    assert found.coherent < found.plain_blend, found
    assert found.clip < found.coherent, "the clip's own grain"


def test_patterns_stay_as_strong_and_as_sharp_as_those_of_a_single_frame(engine: Engine, clouds: Clouds) -> None:
    frames = film_of(clouds, 16)
    film = coherent(engine, frames, stage, Coherence())
    alone = by_itself(engine, frames[-1:], stage)[0]
    before, after = (strength_of(dream - frames[-1]) for dream in (alone, film[-1]))
    assert after == pytest.approx(before, rel=0.25)
    assert sharpness(film[-1]) > 0.8 * sharpness(alone), "it is smeared"


def test_what_a_fast_pan_brings_into_view_is_dreamt_as_strongly_as_the_rest(engine: Engine, clouds: Clouds) -> None:
    step = 8
    wide = textured(clouds, 96, 128 + 8 * step)
    frames = [wide[:, :, step * number : step * number + 128] for number in range(8)]
    film = coherent(engine, frames, stage, Coherence())
    details = [(dream - frame)[:, 8:-8] for dream, frame in zip(film, frames, strict=True)]
    (alone,) = by_itself(engine, frames[-1:], stage)
    usual = strength_of((alone - frames[-1])[:, 8:-8, -step:]) / strength_of((alone - frames[-1])[:, 8:-8, :-step])
    edges = [strength_of(detail[..., -step:]) / strength_of(detail[..., :-step]) for detail in details[3:]]
    assert min(edges) > 0.75 * usual, f"pale: {edges} of {usual}"


def test_brightness_does_not_drift(engine: Engine, clouds: Clouds) -> None:
    frames = film_of(clouds, 16)
    film = coherent(engine, frames, stage, Coherence())
    drift = [(dream - frame).mean(dim=(1, 2)).abs().max() * 255 for dream, frame in zip(film, frames, strict=True)]
    assert max(drift) < 1


def test_a_cut_begins_anew_with_nothing_of_the_scene_before(engine: Engine, clouds: Clouds) -> None:
    shots = film_of(clouds, 3)
    other = film_of(clouds, 2, seed=4)
    film = coherent(engine, [*shots, *other], stage, Coherence())
    (alone,) = engine.dream([replace(stage(other[0]), seed=frame_seed(0, len(shots)))])
    detail = detail_of(alone.pixels, other[0], lock="mean", mask=None, most=None)
    assert torch.equal(film[3], (other[0] + detail).clamp(0, 1)), "it is the dream of that frame alone"


def test_without_carrying_every_frame_is_dreamt_by_itself(engine: Engine, clouds: Clouds) -> None:
    frames = film_of(clouds, 3)
    film = coherent(engine, frames, stage, Coherence(carry=0, lock="none"))
    again = coherent(engine, frames[2:], stage, Coherence(carry=0, lock="none"))
    matches = matches_of(frames)
    assert flicker(film, matches) > 2 * flicker(coherent(engine, frames, stage, Coherence()), matches)
    assert film[2].shape == again[0].shape


def test_a_plain_blend_is_the_dream_of_a_mixture(engine: Engine, clouds: Clouds) -> None:
    """The straight-line reference does what pytorch-deepdream does."""
    frames = film_of(clouds, 2)
    film = blended(engine, frames, stage, share=1.0)
    assert torch.equal(film[0], by_itself(engine, frames[:1], stage)[0])
    mixed = blended(engine, frames, stage)
    assert not torch.equal(film[1], mixed[1])


@pytest.mark.parametrize(("changes", "told"), [({"carry": 1.0}, "carry 1"), ({"steps": 1.5}, "steps 1.5")])
def test_shares_are_shares(changes: dict[str, float], told: str) -> None:
    with pytest.raises(BadOption, match=told):
        Coherence(**changes)  # type: ignore[arg-type]


def test_a_lock_that_is_none_is_refused() -> None:
    with pytest.raises(BadOption, match="histogram"):
        Coherence(lock="hue")
