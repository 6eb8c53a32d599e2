"""What may not be read is told of, and taken once it may be; no event tells of a ``chmod``."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon import beneath
from deepdream_daemon.intake.unreadable import Unreadable
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import Running, drop, make_settings, wait_until


class _Locked:
    """The module ``os`` for a user who may not look into some folders; tests may run as root."""

    def __init__(self, *folders: Path) -> None:
        self.folders = set(folders)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def scandir(self, path: Path) -> Any:
        if path in self.folders:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return os.scandir(path)


def test_a_folder_that_may_not_be_read_is_told_of_and_taken_once_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path, rescan_seconds=0.2)
    folder = tmp_path / "in" / "private"
    folder.mkdir()
    drop(folder / "photo.jpg", "sky")
    locked = _Locked(folder)
    monkeypatch.setattr("deepdream_daemon.intake.scan.os", locked)
    with Running(settings) as running:
        wait_until(lambda: repr(str(folder)) in (running.daemon.snapshot().degraded or ""))
        drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(done=1)
        locked.folders.clear()
        running.wait_for(done=2)
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_folders_that_cannot_be_read_are_logged_once_and_forgotten_when_they_can(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unreadable = Unreadable()
    failed = {Path(f"/in/{name}"): PermissionError(errno.EACCES, "Permission denied") for name in "abcde"}
    for _ in range(2):
        unreadable.scanned(Path("/in"), failed)
    assert capsys.readouterr().out.count("cannot be looked into") == len(failed)
    unreadable.scanned(Path("/in/a"), {})
    assert [trouble[:17] for trouble in unreadable.troubles()] == [
        *(f"the folder '/in/{n}"[:17] for n in "bcd"),
        "nor can 1 other f",
    ]
    unreadable.scanned(Path("/in"), {})
    assert unreadable.troubles() == []


def _forbid(monkeypatch: pytest.MonkeyPatch, forbidden: set[Path]) -> None:
    """Let no file be opened whose name one of the ``forbidden`` has."""
    real = beneath.open_regular

    def open_regular(name: str, at: int) -> int:
        if name in {place.name for place in forbidden}:
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return real(name, at)

    monkeypatch.setattr(beneath, "open_regular", open_regular)


@pytest.mark.parametrize("trouble", ["picture", "side file"])
def test_a_file_made_readable_is_taken_by_the_next_rescan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr("deepdream_daemon.intake.quiet.PARTS", 10**6)
    settings = make_settings(tmp_path, rescan_seconds=0.3)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    side = tmp_path / "in" / "photo.jpg.toml"
    side.write_text("steps = 3\n")
    victim = photo if trouble == "picture" else side
    forbidden = {victim}
    _forbid(monkeypatch, forbidden)
    with Running(settings) as running:
        running.wait_for(failed=1)
        journal = Journal.open(settings.state, read_only=True)
        advice = journal.of_path(photo)[0].advice or ""
        journal.close()
        assert "taken by itself" in advice
        assert "retry" not in advice
        forbidden.clear()
        victim.chmod(0o640)  # no hint tells of this
        running.wait_for(failed=0, done=1)


@pytest.mark.parametrize("trouble", ["picture", "side file"])
def test_a_queued_file_that_became_unreadable_is_taken_once_it_is_readable_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    settings = make_settings(tmp_path, rescan_seconds=0.3)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    side = tmp_path / "in" / "photo.jpg.toml"
    side.write_text("steps = 3\n")
    victim = photo if trouble == "picture" else side
    forbidden: set[Path] = set()
    _forbid(monkeypatch, forbidden)
    record = Journal.record

    def record_and_forbid(self: Journal, batch: Any) -> Any:  # after it was looked at, before it is read
        if not recorded:
            forbidden.add(victim)
        recorded.append(batch)
        return record(self, batch)

    recorded: list[Any] = []
    monkeypatch.setattr(Journal, "record", record_and_forbid)
    with Running(settings) as running:
        running.wait_for(failed=1)
        forbidden.clear()
        victim.chmod(0o640)
        running.wait_for(failed=0, done=1)
