"""Timelines: what happens in each frame, how segments pass into each other, and what contradicts itself."""

from __future__ import annotations

import pytest

from deepdream_engine.errors import BadOption
from deepdream_engine.motion.easing import EASINGS, between
from deepdream_engine.motion.timeline import Segment, Share, Timeline


def shares(timeline: Timeline) -> list[dict[int, float]]:
    return [{share.segment: share.share for share in timeline.at(number).shares} for number in range(timeline.frames)]


@pytest.mark.parametrize("easing", EASINGS)
def test_every_easing_rises_from_0_to_1(easing: str) -> None:
    values = [EASINGS[easing](time / 20) for time in range(21)]
    assert values[0] == 0
    assert values[-1] == 1
    assert values == sorted(values)


def test_keyframes_are_evenly_apart() -> None:
    assert [between((0, 4, 2), time, "linear") for time in (0, 0.25, 0.5, 0.75, 1)] == [0, 2, 4, 3, 2]
    assert between((3.0,), 0.7, "smooth") == 3


def test_segments_follow_each_other_with_nothing_between_when_they_are_held() -> None:
    timeline = Timeline(segments=(Segment(frames=2), Segment(frames=3)))
    assert shares(timeline) == [{0: 1}, {0: 1}, {1: 1}, {1: 1}, {1: 1}]
    assert timeline.borders == (2,)


def test_a_fade_passes_evenly_from_one_segment_to_the_next() -> None:
    timeline = Timeline(segments=(Segment(frames=5, fade=3, easing="linear"), Segment(frames=2)))
    assert shares(timeline) == [
        {0: 1},
        {0: 1},
        {0: 0.75, 1: 0.25},
        {0: 0.5, 1: 0.5},
        {0: 0.25, 1: 0.75},
        {1: 1},
        {1: 1},
    ]


def test_the_camera_fades_too() -> None:
    slow, fast = Segment(frames=4, fade=1, zoom=(1.0,)), Segment(frames=4, zoom=(1.1,), centre=((0.7,), (0.5,)))
    timeline = Timeline(segments=(slow, fast))
    middle = timeline.at(3).motion
    assert middle.zoom == pytest.approx(1.05)
    assert middle.centre == pytest.approx((0.6, 0.5))
    assert timeline.at(4).motion.zoom == 1.1


def test_keyframes_run_from_the_first_frame_of_a_segment_to_its_last() -> None:
    segment = Segment(frames=5, easing="linear", strength=(0.5, 1.5), weights={"eyes": (0.0, 1.0)})
    timeline = Timeline(segments=(Segment(frames=3), segment))
    assert [timeline.at(number).strength for number in (2, 3, 5, 7)] == [1, 0.5, 1, 1.5]
    assert timeline.at(5).shares == (Share(1, 1.0, {"eyes": 0.5}),)


def test_steps_change_one_by_one_and_octaves_at_once_if_one_segment_has_its_own() -> None:
    first = Segment(frames=6, fade=5, easing="linear", steps=2)
    timeline = Timeline(segments=(first, Segment(frames=1, steps=8, octaves=3)))
    assert [timeline.at(number).steps for number in range(7)] == [2, 3, 4, 5, 6, 7, 8]
    assert [timeline.at(number).octaves for number in range(7)] == [None, None, None, 3, 3, 3, 3]


def test_the_last_segment_of_a_film_that_ends_fades_into_nothing() -> None:
    assert shares(Timeline(segments=(Segment(frames=4, fade=2),)))[-1] == {0: 1}


def test_a_loop_fades_into_its_first_segment_and_closes_over_as_many_frames() -> None:
    timeline = Timeline(segments=(Segment(frames=4), Segment(frames=4, fade=2)), way="loop")
    assert set(shares(timeline)[-1]) == {0, 1}
    assert (timeline.frames, timeline.dreamt, timeline.shown) == (8, 10, 8)
    assert timeline.at(9) == timeline.at(1)


def test_going_back_shows_neither_end_twice() -> None:
    assert Timeline(segments=(Segment(frames=5),), way="ping-pong").shown == 8
    assert Timeline(segments=(Segment(frames=1),), way="ping-pong").shown == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Segment(frames=0), "at least one frame"),
        (lambda: Segment(frames=3, fade=4), "within the segment's 3 frames"),
        (lambda: Segment(frames=3, easing="smoth"), "Did you mean 'smooth'"),
        (lambda: Timeline(segments=()), "Give at least one"),
        (lambda: Timeline(segments=(Segment(frames=3),), way="backwards"), "Valid: forwards, ping-pong, loop"),
        (lambda: Timeline(segments=(Segment(frames=3),), way="loop"), "must be at least one"),
        (lambda: Timeline(segments=(Segment(frames=4, fade=3),), way="loop"), "at most half"),
    ],
)
def test_a_timeline_whose_parts_contradict_is_refused(make: object, told: str) -> None:
    with pytest.raises(BadOption, match=told):
        make()  # type: ignore[operator]
