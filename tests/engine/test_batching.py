"""Pictures that share passes: each comes out as if it were alone, and passes stay full.

On a CPU a pass holds one window; ``SharedPasses`` puts several into one, as on a GPU. float64 shows coupling and hides
rounding, which depends on the batch's size there and grows in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepdream_engine import Dream, DreamJob, Engine, Objective, Program, Schedule
from deepdream_engine.memory import Memory
from deepdream_engine.planning import Waiting
from deepdream_engine.pyramid import Octave, octaves_of
from tests.measuring import best_within

from .conftest import DREAMNET, TINY, job, layer_l2, sharing_engine, with_schedule

SIZES = [(64, 80), (80, 64), (64, 80), (50, 71), (64, 80), (48, 48), (110, 40), (64, 80)]


def exact(jobs: list[DreamJob]) -> list[DreamJob]:
    return [replace(each, program=replace(each.program, precision="fp64")) for each in jobs]


def test_alone_or_among_seven_others_of_other_sizes_the_dream_is_the_same(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    jobs = [
        job(clouds(*size, seed), network=DREAMNET, tap="mixed4c", seed=seed, octaves=3, steps=10)
        for seed, size in enumerate(SIZES)
    ]
    together = engine.dream(jobs)
    for index in (0, 3, 7):
        (alone,) = engine.dream([jobs[index]])
        assert (alone.pixels - together[index].pixels).abs().max() <= 1 / 255


def test_pictures_of_any_size_schedule_and_option_share_passes_and_do_not_touch_each_other(
    clouds: Callable[..., Tensor],
) -> None:
    jobs = exact(
        [
            replace(
                job(clouds(*size, seed), network=DREAMNET, tap="mixed4c", seed=seed),
                schedule=Schedule(
                    octaves=1 + seed % 3,
                    steps=2 + seed,
                    step_size=1 + seed / 4,
                    jitter_px=8 * seed,
                    margin_px=4 * (seed % 2),
                ),
            )
            for seed, size in enumerate(SIZES)
        ]
    )
    engine = sharing_engine()
    together = engine.dream(jobs)
    for index in (0, 3, 5, 6):
        (alone,) = engine.dream([jobs[index]])
        assert (alone.pixels - together[index].pixels).abs().max() < 1e-6


def test_tiles_of_several_pictures_share_passes(clouds: Callable[..., Tensor]) -> None:
    shapes: list[tuple[int, ...]] = []
    jobs = exact(
        [watched(clouds(*size, seed), shapes) for seed, size in enumerate([(100, 200), (200, 100), (150, 150)])]
    )
    engine = sharing_engine(tile_px=64)
    together = engine.dream(jobs)
    assert len({shape[2:] for shape in shapes}) <= 3, "a few shapes, whatever the sizes"
    assert max(shape[0] for shape in shapes) == 8
    (alone,) = engine.dream([jobs[1]])
    assert (alone.pixels - together[1].pixels).abs().max() < 1e-6


def test_a_picture_that_lands_makes_room_for_the_next_at_once(clouds: Callable[..., Tensor]) -> None:
    shapes: list[tuple[int, ...]] = []
    long = with_schedule(watched(clouds(32, 32), shapes), octaves=1, steps=40)
    short = [with_schedule(replace(long, seed=seed), steps=10) for seed in range(28)]
    engine = sharing_engine()
    list(engine.stream([long, *short]))
    # 40 + 28 * 10 windows, 8 at a time: in lock-step the short ones would have waited for the long one four times.
    assert len(shapes) == 40


def test_jobs_are_taken_when_there_is_room_and_not_before(clouds: Callable[..., Tensor]) -> None:
    taken = 0

    def feed() -> Iterator[DreamJob | None]:
        nonlocal taken
        for seed in range(12):
            yield None  # nothing at the moment
            taken += 1
            yield job(clouds(32, 32, seed), octaves=1, steps=3)

    landed = 0
    for _, outcome in sharing_engine().stream(feed()):
        assert isinstance(outcome, Dream)
        landed += 1
        assert taken - landed <= 8
    assert landed == 12


def test_the_fullest_pass_goes_first_and_of_equal_ones_the_oldest() -> None:
    waiting: Waiting[str, int] = Waiting(lambda key: 2 if key == "small" else 4)
    for key, item in [("a", 1), ("b", 2), ("b", 3), ("small", 4), ("small", 5), ("b", 6), ("small", 7)]:
        waiting.add(key, item)
    assert [waiting.next_pass() for _ in range(4)] == [[4, 5], [2, 3, 6], [7], [1]]
    assert not waiting


def test_an_item_that_no_pass_is_full_for_does_not_wait_for_ever() -> None:
    waiting: Waiting[str, int] = Waiting(lambda key: 2)
    waiting.add("odd", -1)
    taken: list[int] = []
    for number in range(0, 200, 2):
        waiting.add("usual", number)
        waiting.add("usual", number + 1)
        taken += waiting.next_pass()
        if -1 in taken:
            break
    assert -1 in taken
    assert 10 < len(taken) < 100


def test_passes_are_filled_with_windows_rather_than_with_black(clouds: Callable[..., Tensor]) -> None:
    # Of the pixels that an accelerator computes, how many belong to a view: many sizes must not do much worse than one.
    def share(sizes: list[tuple[int, int]]) -> float:
        computed = 0

        def score(activations: Mapping[str, Tensor], _options: Mapping[str, object]) -> Tensor:
            nonlocal computed
            computed += activations["relu1"].shape[0] * activations["relu1"].shape[2] * activations["relu1"].shape[3]
            return activations["relu1"].square().sum((1, 2, 3))

        program = Program(network=TINY, objective=Objective(key=("seen", id(sizes)), taps=("relu1",), score=score))
        schedule = Schedule(octaves=3, octave_scale=1.4, steps=2)
        jobs = [DreamJob(pixels=torch.rand(3, *size), program=program, schedule=schedule) for size in sizes]
        engine = sharing_engine()
        engine.memory = LikeOnAGpu(engine.device, max_batch=32, tile_px=None, memory_gib=8)
        engine.dream(jobs)
        wanted = sum(octave.steps * octave.size[0] * octave.size[1] for job in jobs for octave in octaves(job))
        return wanted / computed

    def octaves(job: DreamJob) -> list[Octave]:
        return octaves_of((job.pixels.shape[1], job.pixels.shape[2]), job.schedule, TINY.min_side_px)

    mixed = [(360 + 16 * (i % 8), 520 + 24 * (i % 7)) for i in range(24)]
    mixed = [size if i % 3 else size[::-1] for i, size in enumerate(mixed)]
    assert share(mixed) > 0.75 * share([(416, 592)] * 24)


class LikeOnAGpu(Memory):
    """The memory policy of an accelerator, with its real shapes."""

    pictures = 16
    granule_px = 64


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_options_that_vary_per_picture_reach_the_score_as_a_column(
    clouds: Callable[..., Tensor], precision: str
) -> None:
    seen: list[Tensor] = []

    def score(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
        weight, own = options["weight"], options["own"]
        assert isinstance(weight, Tensor)
        assert isinstance(own, Tensor)
        seen.append(torch.stack([weight, own[:, 1]]))
        return activations["relu1"].mean((1, 2, 3)).lerp(activations["relu1"].square().mean((1, 2, 3)), weight)

    program = Program(
        network=TINY,
        objective=Objective(
            key="weighted",
            taps=("relu1",),
            score=score,
            prepare=lambda look, options: {"own": torch.tensor([0.0, look.seed], dtype=look["relu1"].dtype)},
        ),
        precision=precision,
    )
    schedule = Schedule(octaves=1, steps=1)
    jobs = [
        DreamJob(
            pixels=clouds(16, 16, seed), program=program, schedule=schedule, seed=seed, options={"weight": seed / 2}
        )
        for seed in (0, 1)
    ]
    assert len(sharing_engine().dream(jobs)) == 2
    assert seen[0][:, :2].tolist() == [[0.0, 0.5], [0.0, 1.0]]


def watched(pixels: Tensor, shapes: list[tuple[int, ...]]) -> DreamJob:
    """A job that notes the shapes of its passes."""
    plain = layer_l2("relu1")

    def score(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
        shapes.append(tuple(activations["relu1"].shape))
        return plain.score(activations, options)  # type: ignore[arg-type]

    program = Program(network=TINY, objective=Objective(key=("watched", id(shapes)), taps=("relu1",), score=score))
    return DreamJob(pixels=pixels, program=program, schedule=Schedule(octaves=2, steps=3))


def test_computing_is_counted_as_busy_and_waiting_for_pictures_and_readers_is_not(
    clouds: Callable[..., Tensor],
) -> None:
    engine = Engine(device="cpu")
    picture = clouds(96, 96)
    engine.dream([job(picture, steps=1)])  # the network is loaded

    def seconds_that_are_counted_as_neither(_: int) -> float:
        before, rested = engine.busy_seconds, 0.0

        def rest() -> None:  # on a busy machine it takes longer than was asked for
            nonlocal rested
            begun = time.perf_counter()
            time.sleep(0.3)
            rested += time.perf_counter() - begun

        def feed() -> Iterator[DreamJob]:
            for _ in range(2):
                rest()
                yield job(picture, steps=3)

        begun = time.perf_counter()
        for _ in engine.stream(feed()):
            rest()
        took = time.perf_counter() - begun
        busy = engine.busy_seconds - before
        assert 0 < busy <= took - rested
        return took - rested - busy

    best_within(0.2, seconds_that_are_counted_as_neither)
