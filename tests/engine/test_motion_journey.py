"""Journeys: hundreds of frames that neither drift nor blur nor jump, in whichever way they are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import median

import pytest
import torch
from torch import Tensor

from deepdream_engine import DreamJob, Engine, Failure
from deepdream_engine.motion.journey import InMemory, Journey, Stage, noise
from deepdream_engine.motion.timeline import Moment, Segment, Timeline

from .conftest import DREAMNET, TINY, job, sharing_engine

ZOOM = (1.03,)


def tapped(*taps: str, step_size: float = 2.0, network: object = TINY) -> Stage:
    """Segment ``i`` dreams of ``taps[i]``; in a fade, the one that counts more."""

    def stage(start: Tensor, moment: Moment, seed: int) -> DreamJob:
        main = max(moment.shares, key=lambda share: share.share)
        size = step_size * moment.strength
        return job(start, network=network, tap=taps[main.segment], seed=seed, octaves=1, steps=1, step_size=size)  # type: ignore[arg-type]

    return stage


def run(
    engine: Engine, *journeys: Journey, until: int | None = None, so_far: tuple[Tensor, ...] = ()
) -> list[list[Tensor]]:
    """Dream films side by side, to their ends, or ``until`` so many frames of the first are there."""
    films: list[list[Tensor]] = [list(so_far) for _ in journeys]
    owners: list[tuple[int, int]] = []

    def fetch() -> None:
        for film, journey in zip(films, journeys, strict=True):
            while (until is None or len(film) < until) and (still := journey.next_still()) is not None:
                film.append(film[still.again] if still.again is not None else still.pixels)  # type: ignore[arg-type]

    def jobs() -> object:
        while not all(journey.done for journey in journeys):
            asked = False
            for index, journey in enumerate(journeys):
                if (next_job := journey.next_job()) is not None:
                    owners.append((index, next_job[0]))
                    asked = True
                    yield next_job[1]
            if not asked:
                yield None

    fetch()  # what is shown again needs no dream
    for index, outcome in engine.stream(jobs()):  # type: ignore[arg-type]
        assert not isinstance(outcome, Failure), outcome
        film, number = owners[index]
        journeys[film].receive(number, outcome.pixels)
        fetch()
        if until is not None and len(films[0]) >= until:
            break
    return films


def changes(film: list[Tensor]) -> list[float]:
    return [(after - before).abs().mean().item() * 255 for before, after in pairwise(film)]


def sharpness(picture: Tensor) -> float:
    grey = picture.mean(0)
    inner = grey[1:-1, 1:-1] * 4 - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return inner.abs().mean().item()


@pytest.fixture
def picture(clouds: Callable[..., Tensor]) -> Tensor:
    return 0.2 + 0.5 * clouds(32, 40)


def test_six_hundred_frames_keep_their_brightness_and_their_sharpness(engine: Engine, picture: Tensor) -> None:
    timeline = Timeline(segments=(Segment(frames=601, zoom=ZOOM),))
    (film,) = run(engine, Journey(picture, timeline, tapped("relu2", step_size=4.0), seed=1))
    means = torch.stack([frame.mean(dim=(1, 2)) for frame in film]) * 255
    assert (means - means[0]).abs().max() < 0.2, "the promise is 2 levels"
    contrasts = torch.stack([frame.std(dim=(1, 2)) for frame in film])
    assert torch.allclose(contrasts, contrasts[0].expand_as(contrasts), rtol=0.02)
    early, late = (sum(map(sharpness, film[at - 20 : at + 21])) for at in (50, 500))
    assert late == pytest.approx(early, rel=0.2)
    assert min(changes(film)) > 1, "nothing moves any more"


def test_without_a_lock_brightness_drifts(engine: Engine, picture: Tensor) -> None:
    timeline = Timeline(segments=(Segment(frames=100, zoom=ZOOM),))
    (film,) = run(engine, Journey(picture, timeline, tapped("relu1"), seed=1, lock="none"))
    assert (film[-1] - film[0]).mean(dim=(1, 2)).abs().max() * 255 > 2


def test_a_blurring_kernel_would_show(engine: Engine, picture: Tensor) -> None:
    """So that the measure of sharpness is one: with hardly a dream, bilinear zooms leave mud."""
    timeline = Timeline(segments=(Segment(frames=60, zoom=(1.005,)),))
    sharp = {}
    for kernel in ("sinc", "bilinear"):
        stage = tapped("relu1", step_size=0.001)
        (film,) = run(engine, Journey(picture, timeline, stage, seed=1, kernel=kernel))
        sharp[kernel] = sharpness(film[-1])
    assert sharp["bilinear"] < 0.8 * sharp["sinc"], sharp


def test_a_film_has_no_jump_where_segments_meet(engine: Engine, picture: Tensor) -> None:
    segment = Segment(frames=24, fade=8, zoom=ZOOM)
    turning = replace(segment, zoom=(1.0,), degrees=(1.5,))
    timeline = Timeline(segments=(segment, turning, replace(segment, centre=((0.6,), (0.4,)))))
    (film,) = run(engine, Journey(picture, timeline, tapped("relu1", "relu2", "relu1"), seed=1))
    steps = changes(film)
    for border in timeline.borders:
        assert max(steps[border - 10 : border + 2]) < 1.5 * median(steps)


def test_the_end_of_a_loop_passes_into_its_beginning(engine: Engine, picture: Tensor) -> None:
    timeline = Timeline(segments=(Segment(frames=40, fade=12, zoom=ZOOM),), way="loop")
    (film,) = run(engine, Journey(picture, timeline, tapped("relu1"), seed=1))
    assert len(film) == 40
    steps = changes([*film, film[0]])
    assert steps[-1] < 1.5 * median(steps), "the joint"
    assert max(steps) < 2 * median(steps)
    assert min(frame.std() for frame in film) > 0.9 * picture.std(), "it bleaches where it closes"


def test_without_closing_it_the_ends_of_a_film_are_far_apart(engine: Engine, picture: Tensor) -> None:
    (film,) = run(
        engine, Journey(picture, Timeline(segments=(Segment(frames=40, zoom=ZOOM),)), tapped("relu1"), seed=1)
    )
    steps = changes([*film, film[0]])
    assert steps[-1] > 2 * median(steps)


def test_ping_pong_goes_back_over_the_same_frames(engine: Engine, picture: Tensor) -> None:
    timeline = Timeline(segments=(Segment(frames=5, zoom=ZOOM),), way="ping-pong")
    (film,) = run(engine, Journey(picture, timeline, tapped("relu1"), seed=1))
    assert len(film) == 8
    for there, back in ((1, 7), (2, 6), (3, 5)):
        assert torch.equal(film[there], film[back])


@pytest.mark.parametrize("way", ["forwards", "ping-pong", "loop"])
@pytest.mark.parametrize("stopped_after", [1, 7, 13])
def test_a_film_that_goes_on_is_the_film_of_one_run(
    engine: Engine, picture: Tensor, way: str, stopped_after: int
) -> None:
    timeline = Timeline(segments=(Segment(frames=5, zoom=ZOOM), Segment(frames=8, fade=3, degrees=(2.0,))), way=way)
    kept: InMemory | None = None

    def journey() -> Journey:
        return Journey(picture, timeline, tapped("relu1", "relu2"), seed=1, kept=kept)

    (whole,) = run(engine, journey())
    kept = InMemory()
    stopped, resumed = journey(), journey()
    (before,) = run(engine, stopped, until=stopped_after)
    resumed.resume(stopped.state())
    (film,) = run(engine, resumed, so_far=tuple(before))
    assert len(film) == len(whole)
    for again, once in zip(film, whole, strict=True):
        assert torch.equal(again, once)


def test_films_side_by_side_share_passes_and_are_each_as_alone(picture: Tensor) -> None:
    engine = sharing_engine()
    timeline = Timeline(segments=(Segment(frames=4, zoom=ZOOM),))

    def journey(seed: int) -> Journey:
        return Journey(picture, timeline, tapped("relu1"), seed=seed)

    passes = []
    whole_pass = engine.runner(job(picture, tap="relu1").program)
    gradient = whole_pass.gradient

    def counted(inputs: object) -> object:
        passes.append(len(inputs.windows))  # type: ignore[attr-defined]
        return gradient(inputs)  # type: ignore[arg-type]

    whole_pass.gradient = counted  # type: ignore[method-assign, assignment]
    one, other = run(engine, journey(1), journey(2))
    assert len(passes) == 4, "both films' frames went through together"
    (alone,) = run(engine, journey(2))
    assert max((a - b).abs().max().item() for a, b in zip(other, alone, strict=True)) * 255 <= 1
    assert not torch.equal(one[0], other[0]), "seeds differ"


def test_noise_becomes_as_rich_as_a_photo_and_no_richer(engine: Engine) -> None:
    timeline = Timeline(segments=(Segment(frames=40, zoom=ZOOM),))
    first = noise(32, 40, 3)
    assert torch.equal(first, noise(32, 40, 3))
    journey = Journey(first, timeline, tapped("relu1", step_size=6.0), seed=1, from_noise=True)
    (film,) = run(engine, journey)
    contrasts = [frame.std(dim=(1, 2)).max().item() for frame in film]
    assert contrasts[0] < 0.15
    assert max(contrasts) <= 0.2 + 1e-3
    assert contrasts[-1] > 0.15
    assert (torch.stack([frame.mean(dim=(1, 2)) for frame in film]) - 0.5).abs().max() * 255 < 2


@pytest.mark.slow
def test_the_embedded_network_neither_drifts_nor_blurs_in_six_hundred_frames(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    timeline = Timeline(segments=(Segment(frames=601, zoom=(1.02,)),))
    stage = tapped("conv2", step_size=1.5, network=DREAMNET)  # what it draws is alike from the first frame to the last
    (film,) = run(engine, Journey(0.2 + 0.5 * clouds(96, 128), timeline, stage, seed=1))
    means = torch.stack([frame.mean(dim=(1, 2)) for frame in film]) * 255
    assert (means - means[0]).abs().max() < 2
    early, late = (sum(map(sharpness, film[at - 20 : at + 21])) for at in (50, 500))
    assert late == pytest.approx(early, rel=0.2)
