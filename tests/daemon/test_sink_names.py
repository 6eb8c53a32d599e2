"""Sinks of one name: what is on its way to one never goes to another, wherever they stand in the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdream_daemon.configuration.sinks import FolderSink, FolderSinks, digest_of
from deepdream_daemon.delivery.couriers import Couriers
from deepdream_daemon.delivery.routes import known_by_folder, routes_of
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.notes import KnownSink, Pause
from deepdream_plugins.hosting.health import Health
from deepdream_plugins.resolving.configured import Configured
from tests.daemon.stub import make_settings, wait_until
from tests.daemon.test_deliveries import Post, Sink


def entry(sink: Sink, url: str) -> FolderSink:
    configured = Configured(spec=sink.spec, owner="tests", options={})
    return FolderSink(name=sink.spec.name, written=digest_of({"url": url}), sink=configured)


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ("ab", "ab", ["shelf", "shelf-2"]),
        ("ab", "ba", ["shelf-2", "shelf"]),
        ("ab", "b", ["shelf-2"]),
        ("ab", "bc", ["shelf-2", "shelf-3"]),
        ("ab", "cab", ["shelf-3", "shelf", "shelf-2"]),
        ("ab", "c", ["shelf-3"]),
        ("ab", "cd", ["shelf-3", "shelf-4"]),
        ("ab", "ac", ["shelf", "shelf-2"]),  # an address was corrected
        ("a", "b", ["shelf"]),
        ("a", "ab", ["shelf", "shelf-2"]),
        ("aa", "aa", ["shelf", "shelf-2"]),
        ("", "ab", ["shelf", "shelf-2"]),
    ],
)
def test_a_name_stays_with_its_entry(before: str, after: str, names: list[str], tmp_path: Path) -> None:
    settings = make_settings(tmp_path)

    def sinks(urls: str) -> FolderSinks:
        return {tmp_path / "in": tuple(entry(Sink(), url) for url in urls)}

    first = routes_of(settings, sinks(before))
    second = routes_of(settings, sinks(after), known_by_folder(first))
    assert [route.name for route in second] == names
    assert len({route.state for route in second}) == len(names)


def test_what_was_for_the_first_of_two_does_not_go_to_the_second_when_the_first_is_removed(tmp_path: Path) -> None:
    one, two = Sink(), Sink()
    post = Post(tmp_path, one)  # it has a dream on its way to the sink "shelf"
    folder = tmp_path / "in"
    both = routes_of(post.settings, {folder: (entry(one, "a"), entry(two, "b"))})
    post.stop.set()
    Couriers(both, post.journal, Health(), post.stop).take_over()
    post.journal.close()
    journal = Journal.open(post.settings.state)  # the daemon is started again
    left = routes_of(post.settings, {folder: (entry(two, "b"),)}, journal.known_sinks())
    couriers = Couriers(left, journal, Health(), post.stop)
    couriers.take_over()
    assert journal.sinks == {folder: ("shelf-2",)}
    couriers.start()
    couriers.join(60)
    assert journal.undelivered().pending == 0
    assert two.arrived == []
    assert "does not name it any more" in journal.of_path(folder / "0.jpg")[0].history[-1][1]
    journal.close()


def test_what_is_noted_of_sinks_is_read_back_whatever_bytes_are_in_their_folder(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    folder = Path(os.fsdecode(b"/in/\xff"))
    known = KnownSink(name="copy-2", sink="copy", written="abc")
    journal.note_sinks({folder: [known], Path("/other"): []})
    assert journal.known_sinks() == {folder: (known,)}
    journal.note_pauses({(folder, "copy-2"): Pause(reason="it is away")})
    assert journal.pauses() == {(folder, "copy-2"): Pause(reason="it is away")}
    journal.note_pauses({})
    assert journal.pauses() == {}
    journal.close()


def test_a_sink_that_is_back_gets_what_was_kept_for_it(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    folder = tmp_path / "in"
    absent = FolderSink(name="shelf", written=digest_of({}), sink=None, reason="its plugin failed to load")
    routes = routes_of(post.settings, {folder: (absent,)}, post.journal.known_sinks())
    couriers = Couriers(routes, post.journal, Health(), post.stop)
    couriers.take_over()
    couriers.start()
    wait_until(lambda: couriers.troubles() != [])
    assert "its plugin failed to load" in couriers.troubles()[0]
    (delivery,) = post.journal.of_path(folder / "0.jpg")[0].deliveries
    assert (delivery.state, delivery.attempts, delivery.waits) == ("pending", 0, "its plugin failed to load")
    post.stop.set()
    couriers.join(60)
    post.stop.clear()
    present = FolderSink(name="shelf", written=digest_of({}), sink=Configured(spec=sink.spec, owner="t", options={}))
    routes = routes_of(post.settings, {folder: (present,)}, post.journal.known_sinks())
    couriers = Couriers(routes, post.journal, Health(), post.stop)
    couriers.take_over()
    couriers.start()
    wait_until(lambda: len(sink.arrived) == 1)
    wait_until(lambda: post.states() == ["delivered"])
    assert post.journal.pauses() == {}
    post.stop.set()
    couriers.join(60)
