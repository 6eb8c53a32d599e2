"""What lies beside many pictures of a directory is known by one listing, and what comes later is seen all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepdream_daemon.intake.beside import NAMES_FOR_A_PICTURE, RECENT_SECONDS, Beside
from deepdream_daemon.intake.intake import Intake
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import drop, make_settings, recipe_book, wait_until

MANY = 50


def age(folder: Path, seconds: float = RECENT_SECONDS + 1) -> None:
    """Let it be some time ago that something was put into the folder."""
    at = time.time() - seconds
    os.utime(folder, (at, at))


@contextmanager
def taking_in(root: Path) -> Iterator[tuple[Intake, Journal]]:
    """Yield an intake that takes files at once, and its journal; whoever wants a step makes it."""
    settings = make_settings(root, settle_seconds=0.0, rescan_seconds=3600.0)
    journal = Journal.open(settings.state)
    intake = Intake(settings, recipe_book(), journal, Roots([root / "in"]), lambda: None)
    try:
        yield intake, journal
    finally:
        intake.watcher.stop()
        journal.close()


def take(intake: Intake, journal: Journal, count: int) -> None:
    """Let the intake work until so many files are in the queue."""

    def is_done() -> bool:
        intake.step()
        return journal.queued() == count

    wait_until(is_done)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the disk was asked for by name."""
    names: list[str] = []
    access = os.access

    def counted(path: str, mode: int) -> bool:
        names.append(path)
        return access(path, mode)

    monkeypatch.setattr(os, "access", counted)
    return names


@pytest.mark.parametrize("told", ["by a scan", "by hints"])
def test_many_pictures_of_a_directory_are_taken_by_a_listing(tmp_path: Path, asked: list[str], told: str) -> None:
    with taking_in(tmp_path) as (intake, journal):
        if told == "by hints":
            intake.step()
        for number in range(MANY):
            drop(tmp_path / "in" / f"{number}.jpg", f"{number}")
        take(intake, journal, MANY)
    assert asked == []


def test_side_files_and_companions_in_a_listing_are_used(tmp_path: Path) -> None:
    with taking_in(tmp_path) as (intake, journal):
        for number in range(MANY):
            drop(tmp_path / "in" / f"{number}.jpg", f"{number}")
            (tmp_path / "in" / f"{number}.jpg.toml").write_text('base = "deep"')
            drop(tmp_path / "in" / f"{number}.mask.png", "mask")
        age(tmp_path / "in")
        take(intake, journal, MANY)
        (job,) = journal.of_path(tmp_path / "in" / f"{MANY - 1}.jpg")
        known = journal.known(tmp_path / "in")
    assert job.recipe == "deep"
    assert all("+" in seen and ";.mask.png=" in seen for seen in known.values())


def test_a_listing_of_a_folder_that_changed_just_now_holds_for_one_turn(tmp_path: Path) -> None:
    beside = Beside()
    for seconds in (0.0, -60.0):  # a file server's clock may be ahead of ours
        beside.next_turn()
        assert beside.names(tmp_path) == frozenset()
        mask = drop(tmp_path / "photo.mask.png", "mask")
        age(tmp_path, seconds)
        assert beside.names(tmp_path) == frozenset()
        beside.next_turn()
        assert beside.names(tmp_path) == {"photo.mask.png"}
        mask.unlink()
        age(tmp_path, seconds)


def test_a_listing_of_a_folder_that_is_quiet_holds_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Beside()
    age(tmp_path, 20.0)
    assert beside.names(tmp_path) == frozenset()
    with monkeypatch.context() as patch:
        patch.delattr(os, "listdir")
        for _ in range(3):
            beside.next_turn()
            assert beside.names(tmp_path) == frozenset()
    drop(tmp_path / "photo.mask.png", "mask")
    age(tmp_path, 10.0)
    assert beside.names(tmp_path) == {"photo.mask.png"}


def test_a_large_folder_that_changes_is_not_listed_for_each_picture(tmp_path: Path) -> None:
    for number in range(3 * NAMES_FOR_A_PICTURE):
        (tmp_path / f"{number}.jpg").touch()
    beside = Beside()
    listed = []
    for _ in range(9):
        beside.next_turn()
        listed.append(beside.names(tmp_path) is not None)
    assert listed == [True, False, False, False] * 2 + [True]


def test_a_folder_that_may_be_entered_but_not_read_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "listdir", closed)
    assert Beside().names(tmp_path) is None


@pytest.mark.parametrize("told", ["by a scan", "by a hint"])
def test_a_side_file_is_seen_though_the_folder_seems_not_to_have_changed(tmp_path: Path, told: str) -> None:
    """As on a server whose clock is far behind ours: a listing that is contradicted is made anew."""
    with taking_in(tmp_path) as (intake, journal):
        folder = tmp_path / "in"
        for number in range(MANY):
            drop(folder / f"{number}.jpg", f"{number}")
        age(folder)
        status = folder.stat()
        take(intake, journal, MANY)
        assert intake._beside.names(folder) == frozenset()
        (folder / "0.jpg.toml").write_text('base = "deep"')
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))
        now = folder.stat()
        intake._beside._listings[folder].seen = (now.st_dev, now.st_ino, now.st_mtime_ns, now.st_ctime_ns)
        if told == "by a scan":
            intake.hints.drain(0.5)
            intake._rescan()
        else:
            intake.hints.put(folder / "0.jpg.toml")

        def is_dreamt_otherwise() -> bool:
            intake.step()
            return journal.of_path(folder / "0.jpg")[0].recipe == "deep"

        wait_until(is_dreamt_otherwise)
