"""A clip under way: frames in order, the same after a stop, in chunks that nobody sees, among the jobs of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from statistics import median

import pytest
import torch
from torch import Tensor

from deepdream_engine import DreamJob, Engine, Failure
from deepdream_engine.benchmark.flicker import coherent, flicker, matches_of
from deepdream_engine.errors import BadOption
from deepdream_engine.motion.clip import Clip
from deepdream_engine.motion.coherence import Coherence, strength_of
from deepdream_engine.motion.flow import match
from deepdream_engine.motion.strand import Sight

from .conftest import job, sharing_engine
from .test_clips_coherence import film_of

pytest.importorskip("cv2")

Clouds = Callable[..., Tensor]


def stage(_: Sight[int], start: Tensor, seed: int) -> DreamJob:
    still = job(start, tap="relu2", octaves=2, steps=8, step_size=2.0, seed=seed)
    return replace(still, program=replace(still.program, precision="fp64"))


class Reel:
    """Reads a clip, and tells how often it was begun and what of it is open."""

    def __init__(self, frames: list[Tensor]) -> None:
        self.frames = frames
        self.begun: list[int] = []
        self.open = 0

    def look(self, first: int) -> Iterator[Sight[int]]:
        self.begun.append(first)
        self.open += 1
        try:
            for number in range(first, len(self.frames)):
                now = self.frames[number]
                yield Sight(now, None if number == first else match(self.frames[number - 1], now), number)
        finally:
            self.open -= 1

    def clip(self, *, chunk: int = 0, carry: float = 0.9, room_bytes: int = 2**30) -> Clip[int]:
        return Clip(
            len(self.frames),
            self.look,
            stage,
            seed=1,
            coherence=Coherence(carry=carry),
            chunk=chunk,
            room_bytes=room_bytes,
        )


def run(engine: Engine, clip: Clip[int], until: int | None = None) -> list[Tensor]:
    film: list[Tensor] = []
    numbers: list[int] = []

    def jobs() -> Iterator[DreamJob | None]:
        while not clip.done:
            asked = clip.next_job()
            if asked is not None:
                numbers.append(asked[0])
            yield None if asked is None else asked[1]

    for index, outcome in engine.stream(jobs()):
        assert not isinstance(outcome, Failure), outcome
        clip.receive(numbers[index], outcome.pixels)
        while (until is None or len(film) < until) and (still := clip.next_still()) is not None:
            assert still.pixels is not None
            assert still.sight is not None
            assert still.sight.extra == still.number
            film.append(still.pixels)
        if until is not None and len(film) >= until:
            break
    return film


@pytest.fixture
def reel(clouds: Clouds) -> Reel:
    return Reel(film_of(clouds, 16, height=32, width=40))


def test_frames_come_in_order_and_the_clip_is_read_once(engine: Engine, reel: Reel) -> None:
    clip = reel.clip()
    film = run(engine, clip)
    assert len(film) == clip.stills == 16
    assert clip.done
    assert clip.fraction == 1
    assert (reel.begun, reel.open) == ([0], 0)
    assert all(frame.min() >= 0 and frame.max() <= 1 for frame in film)


@pytest.mark.parametrize("chunk", [0, 4, 6])
@pytest.mark.parametrize("stopped_after", [1, 5, 6, 12, 15])
def test_a_clip_that_goes_on_is_the_film_of_one_run(engine: Engine, reel: Reel, chunk: int, stopped_after: int) -> None:
    whole = run(engine, reel.clip(chunk=chunk))
    stopped = reel.clip(chunk=chunk)
    film = run(engine, stopped, until=stopped_after)
    state = dict(stopped.state())
    stopped.close()
    assert reel.open == 0
    resumed = reel.clip(chunk=chunk)
    resumed.resume(state)
    film += run(engine, resumed)
    assert len(film) == len(whole)
    for again, once in zip(film, whole, strict=True):
        assert torch.equal(again, once)


@pytest.mark.parametrize(("room_bytes", "most"), [(0, 2), (2**30, 4)])
def test_how_many_chunks_are_under_way_does_not_change_the_film(
    reel: Reel, engine: Engine, room_bytes: int, most: int
) -> None:
    clip, film, at_once = reel.clip(chunk=4, room_bytes=room_bytes), [], []
    while not clip.done:
        asked = []
        while (job := clip.next_job()) is not None:
            asked.append(job)
        at_once.append(len(asked))
        for number, one in reversed(asked):  # whichever is done first
            clip.receive(number, engine.dream([one])[0].pixels)
        while (still := clip.next_still()) is not None:
            film.append(still.pixels)
    assert max(at_once) == most
    for one_way, other in zip(film, run(engine, reel.clip(chunk=4)), strict=True):
        assert one_way is not None
        assert torch.equal(one_way, other)


def test_chunks_share_passes(reel: Reel) -> None:
    engine = sharing_engine()
    runner = engine.runner(stage(Sight(reel.frames[0], None, 0), reel.frames[0], 0).program)
    rows: list[int] = []
    gradient = runner.gradient

    def counted(inputs: object) -> object:
        rows.append(len(inputs.windows))  # type: ignore[attr-defined]
        return gradient(inputs)  # type: ignore[arg-type]

    runner.gradient = counted  # type: ignore[method-assign, assignment]
    run(engine, reel.clip())
    in_a_row = len(rows)
    rows.clear()
    run(engine, reel.clip(chunk=4))
    assert len(rows) < 0.6 * in_a_row


def test_frames_that_do_not_depend_on_each_other_share_passes(reel: Reel) -> None:
    engine = sharing_engine()
    clip = reel.clip(carry=0)
    asked = [clip.next_job() for _ in range(3)]
    assert None not in asked
    film = run(engine, reel.clip(carry=0))
    assert len(film) == 16


def test_nobody_sees_where_chunks_meet(engine: Engine, clouds: Clouds) -> None:
    frames = film_of(clouds, 24, height=32, width=40)
    film = run(engine, Reel(frames).clip(chunk=12))
    strengths = [strength_of(dream - frame) for dream, frame in zip(film, frames, strict=True)]
    assert min(strengths[1:]) > 0.75 * max(strengths), "patterns fade where one chunk passes into the other"
    steps = [(after - before).abs().mean().item() for before, after in pairwise(film)]
    assert max(steps[8:13]) < 1.5 * median(steps)
    matches = matches_of(frames)
    plain = coherent(engine, frames, lambda start: stage(Sight(start, None, 0), start, 0), Coherence(carry=0))
    assert flicker(film, matches) < 0.5 * flicker(plain, matches)


def test_a_masked_clip_keeps_what_is_masked(engine: Engine, reel: Reel) -> None:
    mask = torch.zeros(1, 32, 40)
    mask[:, :, :20] = 1
    clip: Clip[int] = Clip(
        6,
        Reel(reel.frames[:6]).look,
        lambda sight, start, seed: replace(stage(sight, start, seed), mask=mask),
        seed=1,
        coherence=Coherence(),
    )
    film = run(engine, clip)
    for dream, frame in zip(film, reel.frames, strict=False):
        assert torch.allclose(dream[:, :, 20:], frame[:, :, 20:], atol=1e-6)
        assert strength_of((dream - frame)[:, :, :20]) * 255 > 3


def test_a_chunk_has_to_have_some_frames(reel: Reel) -> None:
    with pytest.raises(BadOption, match="chunk 3"):
        reel.clip(chunk=3)


class SlowReel(Reel):
    """A clip whose frames are not there yet when they are asked for first."""

    looks = 0

    def look(self, first: int) -> Iterator[Sight[int] | None]:  # type: ignore[override]
        self.looks += 1
        return self._slowly(first)

    def _slowly(self, first: int) -> Iterator[Sight[int] | None]:
        for sight in super().look(first):
            yield None
            yield sight


@pytest.mark.parametrize("chunk", [0, 4])
def test_a_frame_that_is_not_read_yet_is_asked_for_again_and_the_film_is_the_same(
    engine: Engine, reel: Reel, chunk: int
) -> None:
    whole = run(engine, reel.clip(chunk=chunk))
    slow = SlowReel(reel.frames)
    clip = slow.clip(chunk=chunk)
    assert clip.next_job() is None, "nobody waits for it"
    film = run(engine, clip, until=6)
    state = dict(clip.state())
    clip.close()
    resumed, looks = slow.clip(chunk=chunk), slow.looks
    resumed.resume(state)
    assert slow.looks == looks, "to resume it takes another thread than to read it"
    assert resumed.next_job() is None
    film += run(engine, resumed)
    for again, once in zip(film, whole, strict=True):
        assert torch.equal(again, once)
