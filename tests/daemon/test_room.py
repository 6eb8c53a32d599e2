"""Room in memory: a bound that large pictures break only alone, in the order of asking."""

from __future__ import annotations

import threading
import time

import pytest

from deepdream_daemon.pipeline.room import LEAST_MEGAPIXELS, MOST_MEGAPIXELS, Room, default_room
from deepdream_daemon.pipeline.utilisation import Utilisation
from deepdream_engine.errors import Cancelled
from tests.daemon.stub import wait_until


def asking(room: Room, megapixels: float, got: list[float]) -> threading.Thread:
    def take() -> None:
        room.take(megapixels)
        got.append(megapixels)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    time.sleep(0.05)  # it has asked
    return thread


def test_a_picture_waits_until_there_is_room_and_a_large_one_until_it_is_alone() -> None:
    room, got = Room(10), list[float]()
    room.take(6)
    asking(room, 5, got)
    assert got == []
    room.give(6)
    wait_until(lambda: got == [5])
    asking(room, 100, got)
    assert got == [5]
    room.give(5)
    wait_until(lambda: got == [5, 100])


def test_a_large_picture_is_not_passed_over_by_small_ones() -> None:
    room, got = Room(10), list[float]()
    room.take(1)
    asking(room, 50, got)
    asking(room, 1, got)
    assert got == []
    room.give(1)
    wait_until(lambda: got == [50])
    room.give(50)
    wait_until(lambda: got == [50, 1])


def test_a_picture_that_a_filter_made_smaller_makes_room() -> None:
    room, got = Room(10), list[float]()
    room.take(10)
    asking(room, 8, got)
    room.resize(10, 2)
    wait_until(lambda: got == [8])


def test_fractions_that_do_not_add_up_to_zero_count_as_nothing() -> None:
    room = Room(1)
    for _ in range(10):
        room.take(0.1)
    for _ in range(10):
        room.give(0.1)
    room.take(5)  # alone


def test_nobody_waits_any_more_once_it_is_closed() -> None:
    room, caught = Room(1), list[Cancelled]()
    room.take(1)

    def take() -> None:
        with pytest.raises(Cancelled) as error:
            room.take(1)
        caught.append(error.value)

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.05)
    room.close()
    thread.join(2)
    assert len(caught) == 1
    with pytest.raises(Cancelled):
        room.take(0.1)


def test_the_room_is_a_share_of_the_memory_within_bounds() -> None:
    assert LEAST_MEGAPIXELS <= default_room().megapixels <= MOST_MEGAPIXELS


def test_the_busy_share_counts_from_the_first_dream_and_only_while_there_is_work() -> None:
    now = computed = 0.0
    busy = Utilisation(lambda: computed, 2, lambda: now)

    def wait(seconds: float, computing: float) -> None:
        nonlocal now, computed
        now += seconds
        computed += computing

    busy.note_work(True)
    wait(100, 90)  # the model is loaded
    assert busy.share is None
    busy.warm()
    wait(6, 12)
    busy.note_work(True)
    wait(4, 4)  # one of two devices
    busy.warm()
    wait(2, 0)
    busy.note_work(False)
    wait(1000, 0)  # nothing to do
    busy.note_work(True)
    assert busy.share == pytest.approx((12 + 4) / 24)
