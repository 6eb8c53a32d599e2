"""What the engine is fed with: the oldest first, as many as may be in flight, none that was taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepdream_daemon.pipeline.feed import MOST_FILMS, Feed, Waiting
from tests.daemon.stub import StubPrepared


@dataclass(eq=False)
class Photo:
    """A picture of a given age and key."""

    order: int
    key: str = "a"
    fraction: float = 0.0
    is_film: bool = False
    gives_way: bool = False
    wants_preview: bool = False
    prepared: StubPrepared | None = field(init=False)

    def __post_init__(self) -> None:
        self.prepared = StubPrepared(str(self.order).encode(), self.key)


def waiting(*photos: Photo) -> Waiting[Photo]:
    made: Waiting[Photo] = Waiting()
    for photo in photos:
        made.add(photo)
    return made


def handed(feed: Feed[Photo], limit: int = 100) -> list[bytes | None]:
    """Ask until the feed ends, or has nothing at the moment."""
    texts: list[bytes | None] = []
    for prepared in feed:
        texts.append(None if prepared is None else prepared.text)  # type: ignore[attr-defined]
        if prepared is None or len(texts) == limit:
            break
    return texts


def test_the_oldest_comes_first_and_no_more_than_may_be_in_flight() -> None:
    feed = Feed(waiting(Photo(3), Photo(1), Photo(2), Photo(4)), "a", 3)
    assert handed(feed) == [b"1", b"2", b"3", None]
    assert feed.back(1).order == 2
    assert handed(feed) == [b"4", None]


def test_a_picture_that_is_ready_later_joins_those_in_flight() -> None:
    ready = waiting(Photo(1))
    feed = Feed(ready, "a", 8)
    assert handed(feed) == [b"1", None]
    ready.add(Photo(2))
    assert handed(feed) == [b"2", None]


def test_the_feed_ends_for_good_when_nothing_is_in_flight_and_nothing_waits() -> None:
    ready = waiting(Photo(1))
    feed = Feed(ready, "a", 8)
    assert handed(feed) == [b"1", None]
    feed.back(0)
    assert handed(feed) == []
    ready.add(Photo(2))
    assert handed(feed) == []
    assert len(ready) == 1


def test_pictures_of_another_key_get_their_turn_though_the_first_key_never_runs_dry() -> None:
    ready = waiting(Photo(1), Photo(2, "b"))
    feed = Feed(ready, "a", 4)
    texts = []
    for order in range(3, 30):
        if not (more := handed(feed, 1)):
            break
        texts += more
        feed.back(len(texts) - 1)
        ready.add(Photo(order))
    assert texts == [b"1", b"3", b"4", b"5", b"6"]
    assert [photo.order for photo in ready.of_oldest()] == [2]


def test_a_younger_picture_of_another_key_ends_nothing() -> None:
    ready = waiting(Photo(100, "b"))
    feed = Feed(ready, "a", 2)
    for order in range(10):
        ready.add(Photo(order))
        assert handed(feed, 1) == [str(order).encode()]
        feed.back(order)


def test_what_is_taken_back_is_not_handed_out_and_what_is_handed_out_cannot_be_taken_back() -> None:
    ready = waiting(Photo(1), Photo(2), Photo(3))
    feed = Feed(ready, "a", 1)
    assert handed(feed) == [b"1", None]
    assert [photo.order for photo in ready.take_back(lambda photo: photo.order < 3)] == [2]
    feed.back(0)
    assert handed(feed) == [b"3", None]


def test_suspects_run_by_themselves() -> None:
    ready = waiting(Photo(1))
    feed = Feed(ready, None, 8, first=[Photo(7), Photo(8, "b")])
    assert handed(feed) == [b"7", b"8"]
    assert [photo.order for photo in [*feed.flying(), *feed.unbegun()]] == [7, 8]
    feed.back(0)
    assert [photo.order for photo in [*feed.flying(), *feed.unbegun()]] == [8]
    assert len(ready) == 1


def test_progress_is_noted_for_those_in_flight_and_ignored_for_others() -> None:
    photo = Photo(1)
    feed = Feed(waiting(photo), "a", 8)
    handed(feed)
    assert feed.progress(0, 0.5) is photo
    assert photo.fraction == 0.5
    feed.back(0)
    assert feed.progress(0, 0.9) is None
    assert photo.fraction == 0.5


def test_those_that_share_passes_with_the_oldest_are_told_by_age() -> None:
    ready = waiting(Photo(3, "b"), Photo(2, "a"), Photo(4, "a"), Photo(1, "b"))
    assert [photo.order for photo in ready.of_oldest()] == [1, 3]
    assert waiting().of_oldest() == []


def test_with_a_film_in_flight_every_picture_is_taken_whatever_its_key() -> None:
    ready = waiting(Photo(1, "film", is_film=True), Photo(2, "a"), Photo(3, "b"))
    feed = Feed(ready, "film", 8)
    assert handed(feed) == [b"1", b"2", b"3", None]


def test_a_film_joins_whatever_is_in_flight() -> None:
    ready = waiting(Photo(1, "a"))
    feed = Feed(ready, "a", 8)
    assert handed(feed) == [b"1", None]
    ready.add(Photo(2, "film", is_film=True))
    assert handed(feed) == [b"2", None]


def test_a_film_gives_way_when_it_is_told_to_and_when_nobody_wants_it() -> None:
    film = Photo(1, "film", is_film=True)
    feed = Feed(waiting(film), "film", 8)
    assert handed(feed) == [b"1", None]
    assert not feed.gives_way(0)
    film.gives_way = True
    assert feed.gives_way(0)
    feed.back(0)
    assert feed.gives_way(0)


def test_only_some_films_are_in_flight_at_once_and_pictures_go_past_the_others() -> None:
    films = [Photo(number, "film", is_film=True) for number in range(1, MOST_FILMS + 2)]
    feed = Feed(waiting(*films, Photo(99, "a")), "film", 32)
    assert handed(feed) == [*(str(film.order).encode() for film in films[:-1]), b"99", None]
    feed.back(0)
    assert handed(feed) == [str(films[-1].order).encode(), None]
