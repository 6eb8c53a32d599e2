"""What goes between the daemon and its worker arrives as it was sent: messages, descriptors, errors, recipes."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from deepdream_daemon.decoding.shared import allocate, attach
from deepdream_daemon.intake.companions import BadCompanion
from deepdream_daemon.pipeline.backoff import explain_error, judge
from deepdream_daemon.worker import faults, recipes
from deepdream_daemon.worker.faults import Elsewhere
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.recipes import Recipes
from deepdream_engine.errors import (
    BadOption,
    BadPicture,
    Cancelled,
    EngineFault,
    ModelUnavailable,
    OutOfMemory,
    UnknownTap,
)
from deepdream_plugins.hosting.guarding import PluginDisabled, PluginFailure
from tests.daemon.stub import recipe_book


@pytest.fixture
def lanes() -> Iterator[tuple[Lane, Lane]]:
    here, theirs = Lane.pair()
    there = Lane(theirs)
    yield here, there
    here.close()
    there.close()


def test_messages_arrive_whole_and_in_order_whatever_their_size(lanes: tuple[Lane, Lane]) -> None:
    here, there = lanes
    sizes = [0, 1, 100_000, 20_000_000, 3]
    sender = threading.Thread(target=lambda: [here.send(b"x" * size) for size in sizes])
    sender.start()
    assert [len(there.receive()[0]) for _ in sizes] == sizes
    sender.join(60)


def test_pixels_go_over_by_their_descriptors_and_are_not_copied(lanes: tuple[Lane, Lane]) -> None:
    here, there = lanes
    made = [allocate((3, 4, 5)) for _ in range(5)]
    here.send({"shape": (3, 4, 5)}, [each.fileno() for each in made])
    here.send("next")
    message, numbers = there.receive()
    found = [attach(number, message["shape"]) for number in numbers]
    assert not any(os.get_inheritable(each.fileno()) for each in found)
    for value, each in enumerate(made):
        each.array[:] = value  # after it was sent
    assert [float(each.array.min()) for each in found] == [0, 1, 2, 3, 4]
    assert there.receive() == ("next", [])
    assert np.shares_memory(found[0].array, found[0].array)


def test_who_waits_hears_at_once_that_the_other_side_is_gone(lanes: tuple[Lane, Lane]) -> None:
    here, there = lanes
    with pytest.raises(TimeoutError):
        there.receive(0.01)
    threading.Timer(0.1, here.shut).start()
    begun = time.monotonic()
    with pytest.raises(LaneClosed):
        there.receive(10)
    assert time.monotonic() - begun < 5
    with pytest.raises(LaneClosed):
        here.send("hello")


def test_a_message_that_breaks_off_is_no_message() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        lane = Lane(ours)
        theirs.sendall(b"\0\0\0\0\0\0\0\x09\0abc")
        theirs.close()
        with pytest.raises(LaneClosed, match="within a message"):
            lane.receive()
        lane.close()


def test_no_more_descriptors_are_sent_than_go_with_a_message(lanes: tuple[Lane, Lane]) -> None:
    with pytest.raises(ValueError, match="65 descriptors"):
        lanes[0].send("hello", [0] * 65)


@pytest.mark.parametrize(
    "error",
    [
        BadPicture("a truncated JPEG"),
        BadOption("config.toml:3: no"),
        UnknownTap("unknown tap 'x'", "x"),
        BadCompanion("photo.mask.png: no good", "Replace it"),
        ModelUnavailable("no weights"),
        OutOfMemory("out of memory on cuda:0"),
        EngineFault("the pass failed"),
        Cancelled("stopped"),
        PluginFailure("the filter 'x' failed", "stranger"),
        PluginDisabled("the plugin 'x' is disabled", "stranger"),
        MemoryError("no"),
        OSError(errno.ENOSPC, "No space left on device", "/somewhere"),
        OSError("without a number"),
    ],
)
def test_an_error_arrives_as_it_was_raised(error: Exception) -> None:
    found = faults.unpacked(faults.packed(error))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)
    assert judge(found, Path("photo.jpg")) == judge(error, Path("photo.jpg"))
    assert explain_error(found) == explain_error(error)


def test_an_error_of_a_class_of_a_strangers_arrives_as_what_it_is_to_us() -> None:
    class Theirs(BadPicture):
        pass

    found = faults.unpacked(faults.packed(Theirs("too dark")))
    assert type(found) is BadPicture
    assert str(found) == "too dark"


def test_any_other_error_arrives_with_its_name_its_text_and_its_traceback() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError("what")
    found = faults.unpacked(faults.packed(caught.value))
    assert type(found) is EngineFault
    assert str(found) == "KeyError: 'what'"
    assert isinstance(found.__cause__, Elsewhere)
    assert 'raise KeyError("what")' in str(found.__cause__)
    assert judge(found, Path("photo.jpg")).costs_attempt


@pytest.mark.parametrize("name", recipe_book().names)
def test_a_recipe_arrives_as_it_is_written_with_the_places_of_all_that_it_says(name: str) -> None:
    where: Callable[..., str] = lambda *keys: f"side.toml: {'.'.join(map(str, keys))}"  # noqa: E731
    overrides = [({"steps": 3, "prefilters": [{"name": "resize", "longest_side": 64}], "mask": "none"}, where)]
    for sent in (recipe_book().resolve(name), recipe_book().resolve(name, overrides)):
        found = Recipes(recipe_book()).unpacked(recipes.packed(sent))
        assert found == sent
        assert found.fingerprint() == sent.fingerprint()
        assert [term.objective.places for term in found.terms] == [term.objective.places for term in sent.terms]
        assert [each.places for each in found.prefilters] == [each.places for each in sent.prefilters]
        for said in ("objective: no", "weights: no", "channel 99: no", "mask is black", "steps 3"):
            assert str(found.placed(BadOption(said))) == str(sent.placed(BadOption(said)))
        assert (found.mask_place, found.weights_place) == (sent.mask_place, sent.weights_place)
    assert "side.toml: prefilters.0.longest_side" in found.prefilters[0].places.values()


def test_a_recipe_is_built_once() -> None:
    there = Recipes(recipe_book())
    sent = recipes.packed(recipe_book().resolve("classic"))
    assert there.unpacked(sent) is there.unpacked(sent)
