"""A file that the journal does not know is taken, whatever became of it before and whether anything tells of it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.intake import sources, taking
from deepdream_daemon.intake.intake import Intake
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import drop, make_settings, recipe_book


class Watched:
    """The folder ``in`` below ``root``, with an intake that goes on only when it is told to."""

    def __init__(self, root: Path) -> None:
        settings = make_settings(root, settle_seconds=0.02, rescan_seconds=0.05)
        self.folder = root / "in"
        self.journal = Journal.open(settings.state)
        self.intake = Intake(settings, recipe_book(), self.journal, Roots([self.folder]), lambda: None)

    def until(self, condition: Callable[[], bool], rescans: int = 4) -> None:
        """Go on until it is so: after a few rescans, since many would look at every file."""
        last = self.intake._rescans + rescans
        while not condition():
            assert self.intake._rescans <= last
            self.turn()

    def turn(self, rescans: int = 0) -> None:
        """Go on for a little while."""
        last = self.intake._rescans + rescans
        while True:
            self.intake.hints.wake()
            self.intake.step()
            time.sleep(0.002)
            if self.intake._rescans >= last:
                return

    def claim(self) -> Claim:
        """Wait for a job and claim it, when rescans have found nothing new for a while."""
        self.until(lambda: self.journal.counts()["queued"] == 1)
        self.turn(rescans=3)
        [claim] = self.journal.claim(1, [self.folder])
        return claim


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.intake.watcher.stop()
    made.journal.close()


def test_what_is_back_before_it_is_told_to_have_vanished_is_taken_again(watched: Watched, tmp_path: Path) -> None:
    below = watched.folder / "below"
    below.mkdir()
    drop(below / "photo.jpg", "sky")
    claim = watched.claim()
    below.rename(tmp_path / "aside")
    watched.turn(rescans=1)
    (tmp_path / "aside").rename(below)
    until = time.monotonic() + 0.7  # the hint of that comes and goes
    watched.until(lambda: time.monotonic() > until, 100)
    watched.journal.vanish(claim)
    watched.until(lambda: watched.journal.counts()["queued"] == 1)


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), sqlite3.OperationalError("locked")])
@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_what_could_not_be_taken_is_taken_by_the_next_rescan(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, is_withdrawn: bool, error: Exception
) -> None:
    photo = drop(watched.folder / "photo.jpg", "sky")
    claim = watched.claim()
    where, name = (taking.sources, "read_file") if isinstance(error, OSError) else (watched.journal, "record")
    real, failed = getattr(where, name), []

    def fail_once(*args: Any, **options: Any) -> Any:
        if not failed:
            failed.append(error)
            raise error
        return real(*args, **options)

    monkeypatch.setattr(where, name, fail_once)
    drop(photo, "another sky")
    if is_withdrawn:
        watched.journal.withdraw(claim, "it changed")
        watched.intake.hints.put(photo)
    with contextlib.suppress(sqlite3.OperationalError):  # the loop around it goes on
        watched.until(lambda: bool(failed), 100)
    watched.until(lambda: watched.journal.is_known(photo, sources.fingerprint(photo)))
