"""``source = "trash"``: a picture goes into the trash of the desktop; if none takes it, it stays, and that is told."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.disposal import disposer, lane
from deepdream_daemon.disposal.disposer import Disposer
from deepdream_daemon.disposal.trash import NoTrash, put_into_trash
from deepdream_daemon.explaining.explain import Explanation, explain
from deepdream_daemon.journal.journal import Journal
from tests.daemon.cli import unprivileged
from tests.daemon.stub import Running, drop, environment, make_settings, recipe_book, wait_until

CODE = (
    "import pathlib, sys; from deepdream_daemon.disposal import trash; trash.put_into_trash(pathlib.Path(sys.argv[1]))"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the trash of other systems is not below a folder")


def _home(root: Path) -> dict[str, str]:
    """Return the environment of somebody whose home, and so whose trash, is ``root``."""
    (root / "share").mkdir(exist_ok=True)
    return {"HOME": str(root), "XDG_DATA_HOME": str(root / "share")}


def _put(root: Path, photo: Path) -> str:
    """Put a file into the trash as somebody for whom permissions hold; return what was wrong, if anything was."""
    command = [*unprivileged(), sys.executable, "-c", CODE, str(photo)]
    home = environment(**_home(root))
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def test_the_trash_of_the_desktop_takes_it(tmp_path: Path) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    assert _put(tmp_path, photo) == ""
    assert not photo.exists()
    assert (tmp_path / "share" / "Trash" / "files" / "photo.jpg").read_bytes() == b"PICTURE sky"


def test_where_no_trash_can_be_made_the_place_is_named(tmp_path: Path) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    _home(tmp_path)
    (tmp_path / "share").chmod(0o500)
    try:
        told = _put(tmp_path, photo)
    finally:
        (tmp_path / "share").chmod(0o700)
    assert f"the trash does not take it (Permission denied: '{tmp_path / 'share' / 'Trash'}" in told
    assert 'choose source = "move"' in told
    assert photo.read_bytes() == b"PICTURE sky"


def test_a_picture_that_may_not_be_written_to_is_told_of(tmp_path: Path) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    photo.chmod(0o444)
    assert "the trash takes no file that the daemon's user may not write to: chmod it" in _put(tmp_path, photo)
    assert photo.read_bytes() == b"PICTURE sky"


def test_a_trash_that_takes_nothing_without_a_word_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    monkeypatch.setattr("send2trash.send2trash", lambda _: None)
    with pytest.raises(NoTrash, match="did not take it"):
        put_into_trash(photo)
    assert photo.exists()


def test_a_daemon_without_a_trash_keeps_the_picture_and_goes_on_once_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_take = threading.Event()

    def put(path: Path) -> None:
        if not may_take.is_set():
            raise NoTrash("the trash does not take it (Read-only file system: '/.Trash-0'): make that a folder")
        path.rename(tmp_path / "trashed")

    monkeypatch.setattr(lane, "delay_seconds", lambda _: 0.3)
    monkeypatch.setattr(disposer, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(Disposer.__init__, "__kwdefaults__", {**Disposer.__init__.__kwdefaults__, "trash": put})
    settings = make_settings(tmp_path)
    settings = replace(settings, folders=(replace(settings.folders[0], source="trash"),))
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        wait_until(lambda: "the trash does not take it" in (running.daemon.snapshot().degraded or ""))
        found = _explained(settings, photo)
        assert (found.state, photo.exists()) == ("done", True)
        assert "could not be put into the trash yet: the trash does not take it (Read-only file system" in found.reason
        assert "make that a folder; it is tried again in" in found.reason
        may_take.set()
        wait_until(lambda: "was put into the trash" in _explained(settings, photo).reason)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert (tmp_path / "trashed").read_bytes() == b"PICTURE sky"


def _explained(settings: Settings, photo: Path) -> Explanation:
    journal = Journal.open(settings.state, read_only=True)
    try:
        return explain(photo, settings, recipe_book(), journal)
    finally:
        journal.close()
