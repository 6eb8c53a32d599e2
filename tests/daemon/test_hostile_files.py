"""Security: input folders are hostile territory. No link leads out of the root, no FIFO, device or socket is opened, no
output leaves the output folder, permissions follow umask and settings, the state folder is private.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from deepdream_daemon import beneath
from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.intake import sources
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.private import make_private
from deepdream_daemon.publishing.publish import (
    check_space,
    file_mode,
    make_directory,
    publish_unique,
    reveal,
    stage,
)
from deepdream_daemon.publishing.recovery import inode_of
from deepdream_engine.errors import BadOption, DeepDreamError
from tests.daemon.stub import Running, drop, make_settings, outputs, recipe_book, temps, wait_until

SECONDS = 1.5
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it needs an exchange of two names in one step")


@contextmanager
def swapping(*changes: Callable[[], None]) -> Iterator[None]:
    """Make ``changes`` over and over, one after the other, beside what the ``with`` does."""
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            for each in changes:
                each()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def exchange(one: Path, other: Path) -> Callable[[], None]:
    """Return what makes ``one`` and ``other`` change places in one step, as an attacker would."""
    libc = ctypes.CDLL(None, use_errno=True)

    def change() -> None:
        if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:  # RENAME_EXCHANGE
            raise OSError(ctypes.get_errno(), "cannot exchange", str(one))

    return change


# What is read


@on_linux
def test_no_folder_swapped_for_a_link_makes_it_read_what_is_outside(tmp_path: Path) -> None:
    root, outside = tmp_path / "in", tmp_path / "private"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    drop(root / "sub" / "photo.jpg", "sky")
    drop(outside / "photo.jpg", "secret")
    (root / "link").symlink_to(outside)
    read = refused = 0
    until = time.monotonic() + SECONDS
    with swapping(exchange(root / "sub", root / "link")):
        while time.monotonic() < until:
            try:
                _, data = sources.read_file(root / "sub" / "photo.jpg", 1000, keep=True, root=root)
            except (OSError, sources.Changed):
                refused += 1
            else:
                assert data == b"PICTURE sky"
                read += 1
    assert min(read, refused) > 10


def test_a_link_in_the_way_is_told_from_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "real" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(beneath.LinkInTheWay, match="symbolic link"), beneath.opened(tmp_path, tmp_path / "link" / "a"):
        pass
    with pytest.raises(FileNotFoundError), beneath.opened(tmp_path, tmp_path / "none" / "a"):
        pass
    with beneath.opened(tmp_path / "link", tmp_path / "link" / "a"):
        pass  # the root itself is what the user has named
    with (
        pytest.raises(ValueError, match="not written as a place below"),
        beneath.opened(tmp_path, tmp_path / "real" / ".." / ".."),
    ):
        pass


def _special_files(directory: Path) -> Iterator[str]:
    os.mkfifo(directory / "fifo.jpg")
    yield "fifo.jpg"
    (directory / "link.jpg").symlink_to("whole.jpg")
    yield "link.jpg"
    (directory / "folder.jpg").mkdir()
    yield "folder.jpg"
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(directory)  # names of sockets are short
        try:
            listening.bind("socket.jpg")
        finally:
            os.chdir(here)
    yield "socket.jpg"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    drop(tmp_path / "whole.jpg", "sky")
    for name in _special_files(tmp_path):
        with pytest.raises(sources.Changed, match="not a regular file"):
            sources.read_file(tmp_path / name, 1000, keep=True)
        with beneath.opened(tmp_path, tmp_path) as at:
            assert inode_of(name, at, "") is None
    with pytest.raises(sources.Changed):
        sources.read_file(Path("/dev/null"), 1000, keep=True)


@on_linux
def test_a_fifo_swapped_in_meanwhile_is_not_opened_either(tmp_path: Path) -> None:
    photo, fifo = drop(tmp_path / "photo.jpg", "sky"), tmp_path / "fifo"
    os.mkfifo(fifo)
    writers: list[int] = []

    def knock() -> None:
        """A FIFO can be opened for writing at once only while somebody has it open for reading."""
        for path in (photo, fifo):
            try:
                number = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody has; or it is away for an instant
                continue
            else:
                if stat.S_ISFIFO(os.fstat(number).st_mode):
                    writers.append(number)
                os.close(number)

    read = refused = 0
    until = time.monotonic() + SECONDS
    with swapping(exchange(photo, fifo), knock):
        while time.monotonic() < until:
            try:
                sources.read_file(photo, 1000, keep=True)
            except (OSError, sources.Changed):
                refused += 1
            else:
                read += 1
    assert min(read, refused) > 10
    if beneath.HAS_PATHS:
        assert writers == []


def test_without_pointing_at_files_they_are_looked_at_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beneath, "HAS_PATHS", False)
    photo = drop(tmp_path / "whole.jpg", "sky")
    assert sources.read_file(photo, 1000, keep=True)[1] == b"PICTURE sky"
    for name in _special_files(tmp_path):
        with pytest.raises(sources.Changed, match="not a regular file"):
            sources.read_file(tmp_path / name, 1000, keep=True)


def test_a_folder_full_of_odd_files_holds_nothing_up_and_each_has_its_reason(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = tmp_path / "in"
    names = list(_special_files(folder))
    os.mkfifo(folder / "photo.jpg.toml")  # a side file that would never end
    os.mkfifo(folder / "photo.guide.jpg")
    drop(folder / "other.jpg", "sky")
    drop(folder / "photo.jpg", "sea")
    with Running(settings) as running:
        running.wait_for(done=1, failed=1)
    assert [path.name for path in outputs(tmp_path / "out")] == ["other.classic.jpg"]
    journal = Journal.open(settings.state, read_only=True)
    reasons = [explain(folder / name, settings, recipe_book(), journal).reason for name in names]
    assert ["FIFO" in reasons[0], "symbolic link" in reasons[1], "folder" in reasons[2], "socket" in reasons[3]] == [
        True
    ] * 4
    assert "side file is a regular file" in explain(folder / "photo.jpg", settings, recipe_book(), journal).reason
    journal.close()


# What is written


@on_linux
def test_no_folder_swapped_for_a_link_leads_an_output_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "out", tmp_path / "elsewhere"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to(outside)
    published = refused = 0
    until = time.monotonic() + SECONDS
    rng = random.Random(5)
    with swapping(exchange(root / "sub", root / "link")):
        while time.monotonic() < until:
            try:
                make_directory(root, root / "sub" / "deep" if rng.random() < 0.5 else root / "sub")
                staged = stage(root / "sub", b"x", "us", root=root)
                reveal(staged, "photo.jpg", lambda _: True)
            except (BadOption, OSError):
                refused += 1
            else:
                published += 1
    assert list(outside.iterdir()) == []
    assert min(published, refused) > 10


def test_a_link_in_the_output_is_refused_with_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / "out"
    (root / "real").mkdir(parents=True)
    (root / "sub").symlink_to(tmp_path)
    refused = r"out/sub' is a symbolic link.*Put a folder in its place, or remove it"
    with pytest.raises(BadOption, match=refused):
        make_directory(root, root / "sub" / "a")
    with pytest.raises(BadOption, match=refused):
        stage(root / "sub", b"x", "us", root=root)
    with pytest.raises(BadOption, match=refused):
        check_space(root / "sub", 1, "us", root=root)
    staged = stage(root / "real", b"x", "us", root=root)
    (root / "real").rename(tmp_path / "moved")
    (root / "real").symlink_to(tmp_path / "moved")
    with pytest.raises(BadOption, match="symbolic link"):
        reveal(staged, "photo.jpg", lambda _: True)
    assert [path.name for path in (tmp_path / "moved").iterdir()] == [staged.temp.name]


def test_an_output_is_never_written_through_a_link_of_its_name(tmp_path: Path) -> None:
    victim = drop(tmp_path / "victim", "precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.jpg").symlink_to(victim)
    assert publish_unique(out, "photo.jpg", b"dream").name == "photo-2.jpg"
    assert victim.read_bytes() == b"PICTURE precious"


@pytest.mark.parametrize(
    ("mode", "umask", "seen"), [("umask", 0o027, 0o640), ("664", 0o077, 0o664), ("0400", 0, 0o400)]
)
def test_the_permissions_of_outputs_follow_the_settings_or_else_the_umask(
    tmp_path: Path, mode: str, umask: int, seen: int
) -> None:
    folder = FolderSettings(input=tmp_path / "in", output=tmp_path / "out", mode=mode)
    settings = make_settings(tmp_path, folders=(folder,))
    drop(tmp_path / "in" / "photo.jpg", "sky")
    before = os.umask(umask)
    try:
        with Running(settings) as running:
            running.wait_for(done=1)
    finally:
        os.umask(before)
    (dream,) = outputs(tmp_path / "out")
    assert stat.S_IMODE(dream.stat().st_mode) == seen
    assert file_mode(mode) in {seen, None}
    assert temps(tmp_path / "out") == []


# The state folder


def test_a_state_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "new" / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "state").stat().st_mode) == 0o700


def test_a_state_folder_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    Journal.open(settings.state).close()
    settings.state.chmod(0o755)
    with structlog.testing.capture_logs() as logs, Running(settings):
        wait_until(lambda: stat.S_IMODE(settings.state.stat().st_mode) == 0o700)
    (warning,) = [entry for entry in logs if "closed to them" in entry["event"]]
    assert (warning["folder"], warning["was"]) == (str(settings.state), "055")


def test_a_folder_that_serves_others_too_is_no_state_folder(tmp_path: Path) -> None:
    shared = tmp_path / "shared folder"
    shared.mkdir()
    shared.chmod(0o755)
    drop(shared / "photo.jpg", "sky")
    with pytest.raises(DeepDreamError, match=r"others may enter it.*photo\.jpg.*chmod 700 '.*shared folder'"):
        Journal.open(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    assert os.listdir(shared) == ["photo.jpg"]  # noqa: PTH208


def test_a_state_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fchmod(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    tmp_path.chmod(0o750)
    monkeypatch.setattr(os, "fchmod", fchmod)
    with pytest.raises(DeepDreamError, match="belongs to somebody else"):
        make_private(tmp_path)
