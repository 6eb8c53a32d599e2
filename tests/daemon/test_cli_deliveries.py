"""What the command line tells of sinks and disabled plugins, and how a dream is brought to a sink again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.deliveries import Parcel
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.notes import Pause
from deepdream_daemon.running.lock import LOCK_FILE
from deepdream_engine.errors import BadOption
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.test_cli_live import COUNTS, screen

__all__ = ["nowhere"]

REASON = "it failed 5 times in a row, at last: odd.py:3: ValueError. Mend or remove it, then start again."


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration and its folders."""
    write_template(tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture
def journal(place: Path) -> Iterator[Journal]:
    """The journal of a daemon that seems to run, with a dream on its way to two sinks."""
    opened = Journal.open(place / "state")
    opened.sinks = {place / "in": ("webhook", "copy")}
    job = NewJob(key="key", folder=place / "in", sha256="0", recipe="classic", seed=1)
    (place / "in" / "a.png").write_bytes(b"a")
    opened.record([Taken(path=place / "in" / "a.png", fingerprint="1", job=job)])
    (claim,) = opened.claim(1, [place / "in"])
    target = place / "out" / "a.classic.png"
    target.write_bytes(b"dream")
    opened.announce(Announced(job=claim.id, temp=target, target=target, sha256="1", inode=1))
    opened.finish(claim.id, 2.0)
    with FileLock(place / "state" / LOCK_FILE):
        (place / "state" / f"{LOCK_FILE}.pid").write_text("1")
        yield opened
    opened.close()


def take(journal: Journal, place: Path, sink: str) -> Parcel:
    parcel = journal.take_parcel(place / "in", sink, lambda _: 60.0)
    assert parcel is not None
    return parcel


def told(command: str, place: Path, *more: str) -> str:
    return deepdream(command, "--config", place / "config.toml", *more).stdout


def test_status_counts_what_has_not_arrived_and_says_why(place: Path, journal: Journal) -> None:
    assert "undelivered  2 on their way to a sink" in told("status", place)
    journal.give_up_delivery(take(journal, place, "webhook"), "webhook", "HTTP 404")
    journal.put_off_delivery(take(journal, place, "copy"), "copy", "The folder '/nas' is not there.", due=2e9)
    shown = told("status", place)
    assert "undelivered  1 on their way to a sink, 1 given up (deepdream retry FILE)" in shown
    assert f"the sink 'copy' of '{place / 'in'}': The folder '/nas' is not there." in shown
    found = json.loads(told("status", place, "--json"))
    assert found["undelivered"] == {"pending": 1, "given_up": 1}
    assert "'/nas' is not there" in found["degraded"]
    journal.delivered(take_again(journal, place, "copy"), "copy")
    assert json.loads(told("status", place, "--json"))["degraded"] is None


def take_again(journal: Journal, place: Path, sink: str) -> Parcel:
    journal.mend_delivery_clock(1.0)
    return take(journal, place, sink)


def test_explain_lists_where_a_dream_goes_and_how_far_it_is(place: Path, journal: Journal) -> None:
    journal.delivered(take(journal, place, "webhook"), "webhook")
    journal.put_off_delivery(take(journal, place, "copy"), "copy", "The folder '/nas' is not there.", due=2e9)
    shown = told("explain", place, str(place / "out" / "a.classic.png"))
    deliveries = shown.split("deliveries\n")[1].splitlines()
    assert deliveries[0].endswith("  webhook: delivered")
    assert "  copy: tried once, again in " in deliveries[1]
    assert deliveries[1].endswith("The folder '/nas' is not there.")
    assert "not delivered to 'copy': The folder '/nas' is not there." in shown.split("history\n")[1]
    found = json.loads(told("explain", place, "--json", str(place / "out" / "a.classic.png")))
    assert [delivery["state"] for delivery in found["deliveries"]] == ["delivered", "pending"]


def test_explain_says_until_when_a_sink_pauses_and_what_keeps_another_from_it(place: Path, journal: Journal) -> None:
    until = time.time() + 40
    webhook, copy = (place / "in", "webhook"), (place / "in", "copy")
    journal.put_off_delivery(take(journal, place, "webhook"), "webhook", "HTTP 502", due=time.time() + 0.1)
    journal.note_pauses({webhook: Pause(until=until), copy: Pause(reason="the plugin 'copies' failed to load")})
    first, second = _deliveries(place)
    clock = time.strftime("%H:%M:%S", time.localtime(until))
    assert first.endswith(f"webhook: tried once, the sink pauses until {clock}: HTTP 502")
    assert second.endswith("copy: the plugin 'copies' failed to load")
    degraded = json.loads(told("status", place, "--json"))["degraded"]
    assert f"the sink 'copy' of '{place / 'in'}': the plugin 'copies' failed to load" in degraded
    assert f"the sink 'webhook' of '{place / 'in'}': HTTP 502" in degraded
    journal.note_pauses({webhook: Pause(until=time.time() - 1)})
    assert "again soon: HTTP 502" in _deliveries(place)[0]


def _deliveries(place: Path) -> list[str]:
    shown = told("explain", place, str(place / "out" / "a.classic.png"))
    return shown.split("deliveries\n")[1].split("history\n")[0].splitlines()


def test_explain_says_that_a_delivery_waits_for_a_daemon(place: Path, journal: Journal) -> None:
    (place / "state" / LOCK_FILE).unlink()  # so that nobody seems to hold it
    assert _deliveries(place)[0].endswith("webhook: it waits for a daemon")


def test_retry_brings_a_dream_to_the_sinks_that_have_not_got_it_or_else_makes_it_again(
    place: Path, journal: Journal
) -> None:
    photo = str(place / "in" / "a.png")
    journal.delivered(take(journal, place, "webhook"), "webhook")
    journal.give_up_delivery(take(journal, place, "copy"), "copy", "HTTP 404")
    assert "brought to its sinks again" in told("retry", place, photo)
    (job,) = journal.of_path(place / "in" / "a.png")
    assert (job.state, [each.state for each in job.deliveries]) == ("done", ["delivered", "pending"])
    assert take(journal, place, "copy").attempt == 1
    assert "queued again" in told("retry", place, "--dream", photo)
    (job,) = journal.of_path(place / "in" / "a.png")
    assert (job.state, [each.state for each in job.deliveries]) == ("queued", ["delivered"])
    assert journal.undelivered().pending == 0


def test_retry_makes_a_dream_again_that_is_not_there_to_be_brought(place: Path, journal: Journal) -> None:
    (place / "out" / "a.classic.png").unlink()
    found = json.loads(told("retry", place, "--json", str(place / "in" / "a.png")))
    assert (found["queued"], found["deliveries"]) == (1, 0)


def test_status_and_the_screen_name_disabled_plugins(place: Path, journal: Journal) -> None:
    from deepdream_daemon.journal.deliveries import Undelivered
    from deepdream_daemon.running.snapshot import Snapshot

    journal.note_disabled({"odd": REASON})
    assert f"disabled     the plugin odd: {REASON}" in told("status", place)
    assert json.loads(told("status", place, "--json"))["disabled_plugins"] == {"odd": REASON}
    undelivered = Undelivered(pending=3, given_up=1)
    text = screen(Snapshot(counts=COUNTS, disabled={"odd": REASON}, undelivered=undelivered), width=120)
    assert "! disabled plugin: odd" in text
    assert "odd.py:3: ValueError" in text
    assert "3 undelivered" in text
    assert "1 given up" in text


@pytest.mark.parametrize("place_of_sink", ["{root}/in", "{root}/in/copies", "file://{root}/in", "../in/copies"])
def test_a_sink_that_leads_into_a_watched_folder_is_refused(tmp_path: Path, place_of_sink: str) -> None:
    url = place_of_sink.format(root=tmp_path)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o700)
    (plugins / "shelf.py").write_text(
        "from deepdream_plugins import hookimpl\n"
        "from deepdream_plugins.records import Option, SinkSpec\n"
        "@hookimpl\n"
        "def deepdream_sinks():\n"
        "    url = Option(name='url', type=str, help='Where.')\n"
        "    yield SinkSpec(name='shelf', help='A shelf.', deliver=lambda delivery, url: None, options=(url,))\n"
    )
    config = tmp_path / "config.toml"
    text = (
        '[daemon]\nstate = "state"\n[plugins]\nfolder = "plugins"\n'
        '[[folders]]\ninput = "in"\noutput = "out"\nsinks = [{{ name = "shelf", url = "{url}" }}]\n'
    )
    config.write_text(text.format(url=url))
    with pytest.raises(BadOption, match="leads into the watched folder") as error:
        assemble(config, to_run=True)
    assert str(error.value).startswith(f"{config}:8: folders[0].sinks[0].url: ")
    config.write_text(text.format(url="s3://bucket/in"))
    assert len(assemble(config, to_run=True).sinks[tmp_path / "in"]) == 1
