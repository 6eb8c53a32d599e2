"""``deepdream dream A B C``: photos are read, dreamt, finished and published side by side, and told of in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.oneshot.assembly_line import AssemblyLine
from deepdream_daemon.oneshot.once import Work, read_work
from deepdream_daemon.oneshot.pieces import Finished, Made, Photo
from deepdream_daemon.pipeline.rendering import Encoded
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.terminal.progress import Lines
from deepdream_engine.errors import BadPicture, Cancelled
from tests.daemon.stub import StubRenderer, drop, recipe_book, wait_until
from tests.measuring import best_within


class Shelf:
    """Where dreams are put: the names in the order of their publication."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: list[str] = []
        self.before: Callable[[str], None] = lambda name: None

    def put(self, work: Work, _: Encoded) -> Path:
        self.before(work.photo.name)
        self.names.append(work.photo.name)
        return self.root / f"{len(self.names)}-{work.photo.name}"


def read(photo: Path, keep: bool = True) -> Work:
    return read_work(photo, recipe_book().resolve("classic"), 50, keep=keep)


def line_of(
    photos: list[Path], renderer: StubRenderer, shelf: Shelf, room: float = 100, batch: int = 8
) -> AssemblyLine:
    pieces = [Photo(photo, read, shelf.put) for photo in photos]
    return AssemblyLine(pieces, renderer, max_batch=batch, shown=Lines(), room=Room(room))


def photos_in(root: Path, *texts: str) -> list[Path]:
    return [drop(root / f"{number}.jpg", text) for number, text in enumerate(texts)]


def test_the_photos_are_told_of_in_their_order_whatever_became_of_them(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, "one", "bad", "two", "fault", "three")
    photos.insert(2, tmp_path / "gone.jpg")
    told = list(line_of(photos, StubRenderer(), Shelf(tmp_path)).run())
    assert [finished.photo for finished in told] == photos
    assert [finished.output is not None for finished in told] == [True, False, False, True, False, True]
    assert "not a picture" in told[1].error
    assert "No such file" in told[2].error
    assert "the stub has a fault" in told[4].error


def test_a_dream_is_published_before_those_of_earlier_photos_that_take_longer(tmp_path: Path) -> None:
    renderer, shelf = StubRenderer(), Shelf(tmp_path)
    goes_on = threading.Event()

    def hold(data: bytes) -> None:
        if b"first" in data:
            assert goes_on.wait(60)

    renderer.before_finish = hold
    shelf.before = lambda name: goes_on.set() if name == "1.jpg" else None
    told = list(line_of(photos_in(tmp_path, "first", "second"), renderer, shelf).run())
    assert shelf.names == ["1.jpg", "0.jpg"]
    assert [finished.photo.name for finished in told] == ["0.jpg", "1.jpg"]


def test_dreams_that_want_the_same_name_are_published_in_the_order_of_their_photos(tmp_path: Path) -> None:
    renderer, shelf = StubRenderer(), Shelf(tmp_path)
    renderer.before_finish = lambda text: time.sleep(0.2 if b"first" in text else 0)
    photos = []
    for folder, text in (("a", "bad"), ("b", "first"), ("c", "second"), ("d", "third")):
        (tmp_path / folder).mkdir()
        photos.append(drop(tmp_path / folder / "x.jpg", text))
    told = list(line_of(photos, renderer, shelf).run())
    assert [finished.output is not None for finished in told] == [False, True, True, True]
    assert [finished.output for finished in told[1:]] == [tmp_path / f"{number}-x.jpg" for number in (1, 2, 3)]


def test_photos_are_decoded_and_finished_beside_the_engine(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.03)
    renderer.before_prepare = lambda _: time.sleep(0.02)
    renderer.before_finish = lambda _: time.sleep(0.02)
    photos = photos_in(tmp_path, *map(str, range(30)))

    def seconds(number: int) -> float:
        (tmp_path / str(number)).mkdir()
        begun = time.monotonic()
        told = list(line_of(photos, renderer, Shelf(tmp_path / str(number))).run())
        assert all(finished.output is not None for finished in told)
        return time.monotonic() - begun

    best_within(30 * 0.03 * 1.25 + 0.1, seconds, rounds=10)  # one after the other it would be 2.1 s


def test_what_is_in_memory_is_bounded_by_its_pixels(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.01)
    lock, held, most = threading.Lock(), 0.0, 0.0

    def change(data: bytes, sign: int) -> None:
        nonlocal held, most
        with lock:
            held += sign * renderer.measure(data)
            most = max(most, held)

    renderer.before_prepare = lambda data: change(data, 1)
    renderer.before_finish = lambda data: change(data, -1)
    photos = photos_in(tmp_path, *["megapixels=40"] * 8, "megapixels=150", *["megapixels=40"] * 4)
    assert all(finished.output for finished in line_of(photos, renderer, Shelf(tmp_path), room=100).run())
    assert most == 150


def test_what_was_dreamt_before_ctrl_c_is_published_and_told_of(tmp_path: Path) -> None:
    renderer, shelf = StubRenderer(), Shelf(tmp_path)
    renderer.before_finish = lambda _: time.sleep(0.1)

    dreamt: list[str] = []

    def interrupt(text: bytes) -> None:
        if len(dreamt) == 2:
            raise KeyboardInterrupt
        dreamt.append(f"{text.decode()}.jpg")

    renderer.before_dream = interrupt
    line = line_of(photos_in(tmp_path, "0", "1", "2", "3"), renderer, shelf)
    told: list[Finished] = []
    with pytest.raises(KeyboardInterrupt):
        told.extend(line.run())
    line.stop()
    told.extend(line.told())
    assert [finished.photo.name for finished in told] == sorted(dreamt)
    assert sorted(shelf.names) == sorted(dreamt)


class Joined(Photo):
    """A film that is put together until somebody lets it go on."""

    is_film = True
    goes_on = threading.Event()
    has_ended = threading.Event()

    def finish(self, *of_dream: Any) -> Made:
        Joined.goes_on.wait(60)
        Joined.has_ended.set()
        return super().finish(*of_dream)


def test_a_film_that_is_being_put_together_is_not_waited_for_after_ctrl_c(tmp_path: Path) -> None:
    renderer, shelf = StubRenderer(), Shelf(tmp_path)

    def interrupt(text: bytes) -> None:
        if b"photo" in text:
            raise KeyboardInterrupt

    renderer.before_dream = interrupt
    film, photo = photos_in(tmp_path, "film", "photo")
    pieces = [Joined(film, read, shelf.put), Photo(photo, read, shelf.put)]
    line = AssemblyLine(pieces, renderer, max_batch=1, shown=Lines(), room=Room(100))
    with pytest.raises(KeyboardInterrupt):
        list(line.run())
    line.stop()
    assert not Joined.has_ended.is_set(), "it goes on the next time"
    Joined.goes_on.set()
    assert list(line.told()) == []
    assert shelf.names == []


def test_a_defect_in_a_thread_ends_the_whole_rather_than_waiting_for_ever(tmp_path: Path) -> None:
    renderer = StubRenderer()

    def fail(_: bytes) -> None:
        raise ZeroDivisionError("a defect")

    renderer.before_prepare = fail
    with pytest.raises(ZeroDivisionError):
        list(line_of(photos_in(tmp_path, "one", "two"), renderer, Shelf(tmp_path)).run())


def test_a_defect_beside_the_engine_is_raised_while_others_are_dreamt(tmp_path: Path) -> None:
    renderer = StubRenderer()

    def fail(_: bytes) -> None:
        raise ZeroDivisionError("a defect")

    renderer.before_finish = fail
    line = line_of(photos_in(tmp_path, "one", "two"), renderer, Shelf(tmp_path), batch=1)
    dream = renderer.dream

    def dreaming(feed: Iterator[Any], **more: Any) -> Iterator[Any]:
        for told in dream(feed, **more):
            yield told
            wait_until(more["should_stop"])
            raise Cancelled("stopped")

    renderer.dream = dreaming  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        list(line.run())


@pytest.mark.parametrize("moment", ["before_prepare", "before_finish"])
def test_a_photo_that_memory_is_too_small_for_stops_no_other(tmp_path: Path, moment: str) -> None:
    renderer = StubRenderer()

    def fail(text: bytes) -> None:
        if b"large" in text:
            raise MemoryError

    setattr(renderer, moment, fail)
    told = list(line_of(photos_in(tmp_path, "one", "large", "two"), renderer, Shelf(tmp_path)).run())
    assert [finished.output is not None for finished in told] == [True, False, True]
    assert "1.jpg: out of memory" in told[1].error


def test_a_photo_whose_dream_cannot_be_put_anywhere_stops_no_other(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)

    def full(name: str) -> None:
        if name == "0.jpg":
            raise BadPicture("no room for it")

    shelf.before = full
    told = list(line_of(photos_in(tmp_path, "one", "two"), StubRenderer(), shelf).run())
    assert "no room for it" in told[0].error
    assert [finished.output is not None for finished in told] == [False, True]
