"""A film in a run of the engine keeps no other picture waiting, whatever its disk and its readers do.

Nothing here is timed: what a film waits for goes on when a picture has been dreamt, which would never be if the film
waited in the device's thread.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepdream_daemon.films import FilmFacts, Spool, shot, writing
from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.clipping import Clipping
from deepdream_daemon.oneshot.clips import NamedClip
from deepdream_daemon.pipeline import film_run, mixing
from deepdream_daemon.pipeline.cutting_room import PreparedFilm, RenderedFilm
from deepdream_daemon.pipeline.darkroom import Darkroom, PreparedPicture, RenderedPicture
from deepdream_daemon.pipeline.film_orders import FilmOrder, ToBeContinued
from deepdream_engine.errors import Cancelled
from deepdream_plugins import ResolvedRecipe
from tests.daemon.film_daemon import CHUNK, photo, small_chunks
from tests.daemon.filming import LIMIT_BYTES, write_film
from tests.daemon.stub import recipe_book

pytest.importorskip("av")
pytest.importorskip("cv2")

LIMIT_SECONDS = 30.0
"""So long something is waited for that only comes if the device's thread is free."""


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch.setattr)


def recipe(**table: object) -> ResolvedRecipe:
    quick = {"octaves": 1, "steps": 1, "prefilters": [], "postfilters": [], "objective": {"layer": "conv2"}}
    return recipe_book().resolve("classic", [({**quick, **table}, lambda *_: "test")])


class Place:
    """A darkroom, a clip of nine frames, a photo, and what is told of them."""

    def __init__(self, root: Path) -> None:
        from deepdream_daemon.configuration.settings import EngineSettings

        self.root = root
        host = recipe_book().catalogue.host
        self.darkroom = Darkroom(EngineSettings(device="cpu", num_threads=1), max_megapixels=1, host=host)
        path = write_film(root / "clip.mp4", root / "writing", 9, facts=FilmFacts(width=48, height=32))
        assert path is not None
        self.clip = path
        self.photo = photo(root).read_bytes()
        self.is_dreamt = threading.Event()
        """Whether a photo has been dreamt."""
        self.were_in_time: list[bool] = []

    def film(self, name: str = "spool") -> PreparedFilm:
        order = FilmOrder(
            spool=self.root / name, limit_bytes=LIMIT_BYTES, identity="film", clip=NamedClip.of(self.clip)
        )
        return self.darkroom.prepare_film(order, None, recipe(), 1, {})

    def picture(self) -> Any:
        return self.darkroom.prepare(self.photo, recipe(), 1, {})

    def wait(self) -> None:
        """Wait until a photo has been dreamt."""
        self.were_in_time.append(self.is_dreamt.wait(LIMIT_SECONDS))

    def dream(self, feed: Iterator[Any], *, should_stop: Callable[[], bool] = lambda: False) -> dict[int, Any]:
        told = {}
        for index, outcome in self.darkroom.dream(feed, on_progress=lambda *_: None, should_stop=should_stop):
            told[index] = outcome
            if isinstance(outcome, RenderedPicture):
                self.is_dreamt.set()
        return told

    def begin(self) -> None:
        """Make a chunk of the film, and stop."""
        told = self.dream(GivesWay([self.film()]))
        assert isinstance(told[0], ToBeContinued)
        with Spool(self.root / "spool", LIMIT_BYTES) as spool:
            assert spool.size_bytes > 0


class GivesWay(Iterator[Any]):
    """A feed whose films end their slice after a chunk."""

    def __init__(self, items: list[Any]) -> None:
        self._items = iter(items)

    def __next__(self) -> Any:
        return next(self._items)

    def gives_way(self, index: int) -> bool:
        return True


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_pictures_are_dreamt_while_a_film_is_opened(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    enter = Spool.__enter__
    monkeypatch.setattr(Spool, "__enter__", lambda self: (place.wait(), enter(self))[1])
    told = place.dream(iter([place.film(), place.picture()]))
    assert place.were_in_time == [True]
    assert isinstance(told[0], RenderedFilm)
    assert told[0].frames == 9


@pytest.mark.parametrize("what", ["its chunks are read", "its clip is read up to where it goes on"])
def test_pictures_are_dreamt_while_a_film_that_goes_on_finds_its_place(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    place.begin()
    open_, seek = Spool.open, ApartClip.seek_frame
    if what == "its chunks are read":
        monkeypatch.setattr(Spool, "open", lambda self, identity: (place.wait(), open_(self, identity))[1])
    else:
        monkeypatch.setattr(ApartClip, "seek_frame", lambda self, number: (place.wait(), seek(self, number))[1])
    told = place.dream(iter([place.film(), place.picture()]))
    assert place.were_in_time == [True]
    assert isinstance(told[0], RenderedFilm)
    assert (told[0].resumed_at, told[0].frames) == (CHUNK, 9)


@pytest.mark.parametrize("slow", ["reading", "writing"])
def test_pictures_are_dreamt_while_the_frames_of_a_film_are_read_or_written_slowly(
    place: Place, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    shown, sights, is_waited_for = Clipping.shown, Clipping._sights, threading.Event()

    def wait() -> None:
        is_waited_for.set()
        place.wait()

    def writing_slowly(self: Clipping, still: Any) -> Any:
        if still.number == 2:
            wait()
        return shown(self, still)

    def reading_slowly(self: Clipping, first: int) -> Iterator[Any]:
        for number, sight in enumerate(sights(self, first), first):
            if number == 4:
                wait()
            yield sight

    def feed() -> Iterator[Any]:
        yield place.film()
        while not is_waited_for.is_set():
            yield None
        for _ in range(12):  # by then there is nothing else to dream: there are nine frames
            yield None
        yield place.picture()

    if slow == "reading":
        monkeypatch.setattr(Clipping, "_sights", reading_slowly)
    else:
        monkeypatch.setattr(Clipping, "shown", writing_slowly)
    told = place.dream(feed())
    assert place.were_in_time == [True]
    assert isinstance(told[0], RenderedFilm)
    assert told[0].frames == 9


def test_pictures_are_dreamt_while_what_is_left_of_a_film_is_put_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, is_ending = writing.FilmWriter.end, threading.Event()

    def ending(self: writing.FilmWriter, state: Any = None) -> None:
        is_ending.set()
        place.wait()
        end(self, state)

    def feed() -> Iterator[Any]:
        yield place.film()
        while not is_ending.is_set():
            yield None
        yield place.picture()

    monkeypatch.setattr(writing.FilmWriter, "end", ending)
    told = place.dream(feed())
    assert place.were_in_time == [True]
    assert isinstance(told[0], RenderedFilm)


def test_a_film_whose_disk_hangs_is_put_off_and_its_neighbours_are_not_affected(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, has_left = threading.Event(), threading.Event()
    enter, leave = Spool.__enter__, Spool.__exit__

    def hanging(self: Spool) -> Spool:
        if self.folder.name == "hangs":
            goes_on.wait()
        return enter(self)

    def leaving(self: Spool, *of_error: Any) -> None:
        leave(self, *of_error)
        if self.folder.name == "hangs":
            has_left.set()

    monkeypatch.setattr(film_run, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(Spool, "__enter__", hanging)
    monkeypatch.setattr(Spool, "__exit__", leaving)
    try:
        told = place.dream(iter([place.film("hangs"), place.film(), place.picture()]))
        assert isinstance(told[0], OSError)
        assert told[0].errno == errno.ETIMEDOUT
        assert "has not answered" in str(told[0])
        assert isinstance(told[1], RenderedFilm | OSError), "which may have been slow likewise"
        assert isinstance(told[2], RenderedPicture)
    finally:
        goes_on.set()
    assert has_left.wait(LIMIT_SECONDS), "what was opened after all is closed"
    monkeypatch.setattr(film_run, "PATIENCE_SECONDS", 600.0)
    assert isinstance(place.dream(iter([place.film("hangs")]))[0], RenderedFilm)


def test_a_run_that_is_stopped_while_a_film_is_opened_ends_and_the_film_is_let_go(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_opening, goes_on = threading.Event(), threading.Event()
    enter = Spool.__enter__

    def slow(self: Spool) -> Spool:
        is_opening.set()
        assert goes_on.wait(LIMIT_SECONDS)
        return enter(self)

    def asked() -> bool:
        if is_opening.is_set():
            goes_on.set()
            return True
        return False

    monkeypatch.setattr(Spool, "__enter__", slow)
    with pytest.raises(Cancelled):
        place.dream(iter([place.film()]), should_stop=asked)
    with Spool(place.root / "spool", LIMIT_BYTES):
        pass  # nobody has it any more


def test_a_film_that_cannot_be_opened_costs_its_neighbours_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = shot.Shot.__init__

    def failing(self: shot.Shot, compose: Any, *, folder: Path, **more: Any) -> None:
        if folder.name == "bad":
            raise OSError(errno.EIO, "Input/output error")
        begin(self, compose, folder=folder, **more)

    monkeypatch.setattr(shot.Shot, "__init__", failing)
    told = place.dream(iter([place.film("bad"), place.film(), place.picture()]))
    assert isinstance(told[0], OSError)
    assert isinstance(told[1], RenderedFilm)
    assert isinstance(told[2], RenderedPicture)


def test_a_film_that_another_process_has_at_the_moment_is_taken_up_later(place: Place) -> None:
    film = place.film()
    with Spool(place.root / "spool", LIMIT_BYTES):
        told = place.dream(iter([film]))
    assert isinstance(told[0], OSError)
    assert told[0].errno == errno.EBUSY
    assert isinstance(place.dream(iter([film]))[0], RenderedFilm)


def test_a_picture_that_comes_while_the_device_waits_for_a_film_is_taken(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Spool.__enter__
    is_opening = threading.Event()
    pictures: list[PreparedPicture] = []

    def slow(self: Spool) -> Spool:
        is_opening.set()
        place.wait()
        return enter(self)

    def feed() -> Iterator[Any]:
        yield place.film()
        while not is_opening.is_set():
            yield None
        for _ in range(5):
            yield None
        pictures.append(place.picture())
        yield pictures[0]

    monkeypatch.setattr(Spool, "__enter__", slow)
    told = place.dream(feed())
    assert place.were_in_time == [True]
    assert sorted(told) == [0, 1]


class Waits:
    """A film that never has anything to dream, opened; it may be ``is_done``, and then it is never put away."""

    def __init__(self) -> None:
        self.stir: Callable[[], None] = lambda: None
        self.is_done = False
        self.goes_on = threading.Event()

    def begin(self, on_stirred: Callable[[], None]) -> Waits:
        self.stir = on_stirred
        return self

    def write(self, gives_way: Callable[[], bool]) -> bool:
        return False

    def next_job(self) -> None:
        return None

    def rendered(self, shot: Waits) -> None:
        shot.goes_on.wait(LIMIT_SECONDS)

    def close(self) -> None:
        pass


class Looks:
    """A film's run whose device looks at it, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.film = 0.0, Waits()
        monkeypatch.setattr(film_run, "time", SimpleNamespace(monotonic=lambda: self.seconds))
        is_open = threading.Event()
        film: Any = self.film
        self.run = film_run.FilmRun(0, film, gives_way=lambda: False, on_stirred=is_open.set)
        assert is_open.wait(LIMIT_SECONDS)

    def look(self, seconds: float) -> None:
        """Look at it for so long."""
        for _ in range(round(2 * seconds)):
            self.seconds += 0.5
            assert self.run.next_job() is None


def test_a_film_whose_frames_take_long_is_waited_for_as_long_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    for _ in range(5):
        looks.look(500)
        looks.film.stir()
    looks.look(500)
    assert looks.run.outcome is None
    looks.look(200)
    assert isinstance(looks.run.outcome, TimeoutError)


def test_a_film_that_nobody_looked_at_for_long_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    looks.look(10)
    looks.seconds += 10_000  # in which the device was at pictures
    looks.look(500)
    assert looks.run.outcome is None


def test_a_film_that_cannot_be_put_away_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    looks.film.is_done = True
    looks.look(500)
    assert looks.run.outcome is None
    looks.look(200)
    assert isinstance(looks.run.outcome, TimeoutError)
    looks.film.goes_on.set()


def test_a_film_that_is_done_is_told_of_before_a_picture_that_comes_meanwhile(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "_END_SECONDS", LIMIT_SECONDS)
    put_away, is_ending = film_run.FilmRun._put_away, threading.Event()

    def putting_away(self: film_run.FilmRun, made: Any) -> Any:
        is_ending.set()
        return put_away(self, made)

    def feed() -> Iterator[Any]:
        yield place.film()
        while not is_ending.is_set():
            yield None
        yield place.picture()

    monkeypatch.setattr(film_run.FilmRun, "_put_away", putting_away)
    assert list(place.dream(feed())) == [0, 1]
