"""The worker's side of the lanes keeps no descriptor that it was sent, and outlives what comes too late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from deepdream_daemon.decoding.shared import SharedArray, allocate
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.worker import recipes
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.serving import Bench, Serving
from deepdream_engine.pictures.picture import Picture
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from tests.daemon.stub import StubPrepared, StubRenderer, make_settings, recipe_book, wait_until
from tests.daemon.worker_stub import workshop

SHAPE = (2, 3, 3)
FACTS: Mapping[str, Any] = {}


class Taking(StubRenderer):
    """A stub that is given decoded pictures."""

    def take_in(
        self,
        picture: Picture,
        recipe: ResolvedRecipe,
        seed: int,
        beside: Mapping[str, Picture],
        companions: Mapping[str, Companion],
    ) -> StubPrepared:
        return StubPrepared(b"pixels", recipe.name)


@pytest.fixture
def lane() -> Iterator[Lane]:
    here, theirs = Lane.pair()
    Serving(Bench(renderer=Taking(), book=recipe_book())).open(Lane(theirs), "beside")
    yield here
    here.close()


def asked(lane: Lane, shared: list[SharedArray], **changes: Any) -> Mapping[str, Any]:
    """Ask for a picture to be prepared, whose pixels are ``shared``, and return the answer."""
    question: dict[str, Any] = {"do": "prepare", "recipe": recipes.packed(recipe_book().resolve("classic"))}
    question |= {"seed": 1, "companions": [], "pictures": {"": (SHAPE, FACTS), "mask": (SHAPE, FACTS)}}
    lane.send(question | changes, [each.fileno() for each in shared])
    answer: Mapping[str, Any] = lane.receive(60)[0]
    return answer


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "no recipe"},
        {"pictures": {"": (SHAPE, FACTS)}},
        {"pictures": {"": (SHAPE, FACTS), "mask": ((9, 9, 9), FACTS)}},
        {"companions": [None]},
    ],
    ids=["recipe", "one too many", "shape", "companions"],
)
def test_a_question_that_cannot_be_understood_leaves_no_descriptor_behind(lane: Lane, changes: Any) -> None:
    shared = [allocate(SHAPE) for _ in range(2)]
    assert "fault" in asked(lane, shared, **changes)
    before = psutil.Process().num_fds()
    for _ in range(20):
        assert "fault" in asked(lane, shared, **changes)
    wait_until(lambda: psutil.Process().num_fds() <= before, what=lambda: (before, psutil.Process().num_fds()))


def test_a_wish_to_stop_a_run_that_is_over_does_not_end_the_worker(tmp_path: Path) -> None:
    made = workshop(make_settings(tmp_path))
    assert made.check(60)
    for number in range(3):
        is_dreamt: list[int] = []
        feed = iter([made.prepare(b"PICTURE sky", recipe_book().resolve("classic"), 1, {})])
        run = made.dream(feed, on_progress=lambda *_: None, should_stop=lambda seen=is_dreamt: bool(seen))  # type: ignore[misc]
        index, _ = next(run)
        time.sleep(0.1)  # by now it has said that the run is over
        is_dreamt.append(index)
        assert not list(run), number
    assert made.restarts == 0
    made.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_message_that_nobody_expects_closes_its_lane_at_once(lane: Lane) -> None:
    lane.send(["not", "a question"])
    with pytest.raises(LaneClosed):
        lane.receive(60)
    wait_until(lambda: all(each.name != "beside" for each in threading.enumerate()))  # its error is told by then
