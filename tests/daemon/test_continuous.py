"""The daemon keeps its device fed: what becomes ready joins what is being dreamt, and nothing waits for the rest."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from deepdream_daemon.commands import main
from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import notes, pipeline
from deepdream_daemon.pipeline.room import Room
from tests.daemon.stub import Running, StubRenderer, drop, make_settings, outputs, wait_until


def test_a_picture_that_comes_while_another_is_dreamt_joins_it(tmp_path: Path) -> None:
    renderer = StubRenderer()
    begun, goes_on = threading.Event(), threading.Event()

    def hold(text: bytes) -> None:
        begun.set()
        if b"long" in text:
            goes_on.wait(60)

    renderer.before_dream = hold
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "1.jpg", "long")
    with Running(settings, renderer) as running:
        assert begun.wait(60)
        for number in range(2, 6):
            drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
        wait_until(lambda: renderer.prepared == 5)
        time.sleep(0.5)  # and handed on
        goes_on.set()
        running.wait_for(done=5)
    assert renderer.batches == [5]


def test_no_more_than_max_batch_are_in_flight_though_the_device_never_stops(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.005)
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=4))
    for number in range(40):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        running.wait_for(done=40)
    assert renderer.most_in_flight == 4
    assert max(renderer.batches) > 4, "runs are refilled"


def test_the_device_is_busy_while_pictures_are_decoded_and_finished_beside_it(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.05)
    renderer.before_prepare = lambda _: time.sleep(0.04)
    renderer.before_finish = lambda _: time.sleep(0.04)
    settings = make_settings(tmp_path)
    for number in range(64):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: running.counts()["done"] >= 60)
        share = running.daemon.snapshot().busy_share
        running.wait_for(done=64)
    assert share is not None
    assert share >= 0.95


def test_status_tells_how_busy_the_device_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MEND_SECONDS", 0.05)
    monkeypatch.setattr(notes, "BUSY_SECONDS", 0.05)
    (tmp_path / "config.toml").write_text('[[folders]]\ninput = "in"\noutput = "out"\n')
    settings = make_settings(tmp_path, shutdown_seconds=0.0)
    for number in range(8):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, StubRenderer(dream_seconds=0.05)) as running:
        running.wait_for(done=8)
        journal = Journal.open(settings.state, read_only=True)
        try:
            wait_until(lambda: journal.busy_share() is not None)
        finally:
            journal.close()
        idle = CliRunner().invoke(main, ["status", "--config", str(tmp_path / "config.toml")]).stdout
        drop(tmp_path / "in" / "long.jpg", "slow")
        running.wait_for(running=1)
        told = CliRunner().invoke(main, ["status", "--config", str(tmp_path / "config.toml")]).stdout
    assert "% of the time" not in idle, "nothing is at work"
    assert "% of the time with work" in told
    after = CliRunner().invoke(main, ["status", "--config", str(tmp_path / "config.toml")]).stdout
    assert "% of the time" not in after, "nobody is busy any more"


def test_what_is_decoded_at_once_is_bounded_by_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_daemon.running.daemon.default_room", lambda: Room(100.0))
    renderer = StubRenderer(dream_seconds=0.02)
    lock, held, most = threading.Lock(), 0.0, 0.0

    def begin(data: bytes) -> None:
        nonlocal held, most
        with lock:
            held += renderer.measure(data)
            most = max(most, held)

    def end(text: bytes) -> None:
        nonlocal held
        with lock:
            held -= renderer.measure(text)

    renderer.before_prepare, renderer.before_finish = begin, end
    settings = make_settings(tmp_path)
    for number in range(12):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number} megapixels=40")
    drop(tmp_path / "in" / "large.jpg", "sky megapixels=150")
    with Running(settings, renderer) as running:
        running.wait_for(done=13)
    assert most == 150, "two of 40 at once, and the large one alone"


def test_a_folder_with_a_poisoned_picture_is_dreamt_but_for_that_one_while_more_come_in(tmp_path: Path) -> None:
    renderer = StubRenderer(dream_seconds=0.005)
    settings = make_settings(tmp_path, max_attempts=1)
    for number in range(30):
        drop(tmp_path / "in" / f"{number}.jpg", "poison" if number == 11 else f"sky {number}")
    with Running(settings, renderer) as running:
        wait_until(lambda: running.counts()["done"] >= 10)
        for number in range(30, 40):
            drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
        running.wait_for(done=39, failed=1)
    assert len(outputs(tmp_path / "out")) == 39


def test_a_renderer_that_fails_before_it_asks_for_a_picture_is_not_asked_for_ever(tmp_path: Path) -> None:
    class Broken(StubRenderer):
        def dream(self, *_: object, **__: object) -> object:  # type: ignore[override]
            self.batches.append(0)
            raise RuntimeError("no such device")

    renderer = Broken()
    settings = make_settings(tmp_path, max_attempts=1)
    for number in range(3):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        running.wait_for(failed=3)
    assert len(renderer.batches) <= 3
