"""Recovery at start: an output that cannot be looked at is no output that is missing; nothing is published twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon import failpoints
from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import publish, recovery
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.running.lock import alone_with
from deepdream_engine.errors import BadOption
from tests.daemon.faults.house import House
from tests.daemon.stub import Running, make_settings, recipe_book, wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    opened = Journal.open(settings.state)
    yield opened
    opened.close()


def _announced(root: Path, journal: Journal, *, below: str = "", is_linked: bool = True) -> Announced:
    """Return what a daemon left that died between the link and the commit, or before the link."""
    source, target = root / "in" / "a.jpg", root / "out" / below / "a.classic.jpg"
    source.write_bytes(b"picture")
    target.parent.mkdir(exist_ok=True)
    job = NewJob(key="k", folder=root / "in", sha256="0", recipe="classic", seed=1)
    journal.record([Taken(path=source, fingerprint=fingerprint(source), job=job)])
    (claim,) = journal.claim(1, [root / "in"])
    check_place(journal, root / "out", used=True)
    staged = publish.stage(target.parent, b"dream", journal.instance, root=root / "out")
    if is_linked:
        publish.link_new(staged.temp, target)
    out = Announced(job=claim.id, temp=staged.temp, target=target, sha256=staged.sha256, inode=staged.inode)
    assert journal.announce(out)
    return out


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), BadOption("a link leads out")])
def test_an_output_that_cannot_be_looked_at_is_decided_later_and_not_dreamt_again(
    tmp_path: Path, settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    out = _announced(tmp_path, journal)

    def fail(*_: Any, **__: Any) -> int:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(publish.beneath, "open_regular", fail)
        assert recovery.recover(journal, settings.folders) == [out]
        assert journal.counts()["publishing"] == 1
    assert recovery.recover(journal, settings.folders) == []
    assert journal.counts()["done"] == 1
    assert _names(tmp_path / "out") == ["a.classic.jpg"]


@pytest.mark.parametrize("is_linked", [True, False])
def test_an_output_folder_that_is_another_one_at_the_start_has_nothing_dreamt_again(
    tmp_path: Path, settings: Settings, journal: Journal, is_linked: bool
) -> None:
    out = _announced(tmp_path, journal, is_linked=is_linked)
    (tmp_path / "out").rename(tmp_path / "aside")
    (tmp_path / "out").mkdir()
    assert recovery.recover(journal, settings.folders) == [out]
    assert (journal.counts()["publishing"], _names(tmp_path / "out")) == (1, [])
    (tmp_path / "out").rmdir()
    (tmp_path / "aside").rename(tmp_path / "out")
    assert recovery.recover(journal, settings.folders) == []
    assert (journal.counts()["done"], _names(tmp_path / "out")) == (1, ["a.classic.jpg"])


@pytest.mark.parametrize("is_renamed", [True, False])
def test_a_dream_is_known_by_its_content_when_its_disk_numbers_its_files_anew(
    tmp_path: Path, settings: Settings, journal: Journal, is_renamed: bool
) -> None:
    """A disk without hard links, such as FAT, has renamed the temp file; a folder that is restored has a copy of it."""
    out = _announced(tmp_path, journal)
    if is_renamed:
        out.temp.unlink()
    for path in tuple((tmp_path / "out").iterdir()):
        copy = tmp_path / "copy"
        copy.write_bytes(path.read_bytes())
        copy.replace(path)
    assert recovery.recover(journal, settings.folders) == []
    assert (journal.counts()["done"], _names(tmp_path / "out")) == (1, ["a.classic.jpg"])


def test_the_same_dream_of_another_daemon_is_not_taken_for_ours(
    tmp_path: Path, settings: Settings, journal: Journal
) -> None:
    out = _announced(tmp_path, journal, is_linked=False)
    out.target.write_bytes(out.temp.read_bytes())
    assert recovery.recover(journal, settings.folders) == []
    assert (journal.counts()["done"], _names(tmp_path / "out")) == (1, ["a.classic-2.jpg", "a.classic.jpg"])


def test_an_output_in_a_folder_that_is_gone_and_is_not_written_to_any_more_is_dreamt_again(
    tmp_path: Path, journal: Journal
) -> None:
    _announced(tmp_path, journal)
    (tmp_path / "out").rename(tmp_path / "thrown away")
    folder = FolderSettings(input=tmp_path / "in", output=tmp_path / "other")
    folder.output.mkdir()
    assert recovery.recover(journal, [folder]) == []
    assert journal.counts()["queued"] == 1


def test_of_an_output_in_a_folder_that_is_another_one_it_is_told_why_nobody_knows(
    tmp_path: Path, settings: Settings, journal: Journal
) -> None:
    _announced(tmp_path, journal)
    (tmp_path / "out").rename(tmp_path / "aside")
    with alone_with(settings.state):
        found = explain(tmp_path / "in" / "a.jpg", settings, recipe_book(), journal)
        assert (found.state, "cannot be found out" in found.reason) == ("publishing", True)
        assert "is away" in found.reason
        (tmp_path / "out").mkdir()
        found = explain(tmp_path / "in" / "a.jpg", settings, recipe_book(), journal)
        assert "it is another folder than before" in found.reason
        assert f"deepdream forget {tmp_path / 'out'}" in (found.advice or "")


def test_status_tells_of_an_output_that_cannot_be_decided_until_it_can(
    tmp_path: Path, settings: Settings, journal: Journal
) -> None:
    _announced(tmp_path, journal)
    (tmp_path / "out").rename(tmp_path / "aside")
    with Running(settings) as running:
        wait_until(lambda: any("cannot be found out" in trouble for trouble in journal.noted_troubles()))
        (advice,) = journal.noted_troubles().values()
        assert str(tmp_path / "out") in advice
        (tmp_path / "aside").rename(tmp_path / "out")
        running.wait_for(60, done=1)
        wait_until(lambda: not journal.noted_troubles())


def test_what_was_in_a_folder_that_is_gone_is_dreamt_again(
    tmp_path: Path, settings: Settings, journal: Journal
) -> None:
    _announced(tmp_path, journal, below="sub")
    (tmp_path / "out" / "sub").rename(tmp_path / "thrown away")
    assert recovery.recover(journal, settings.folders) == []
    assert journal.counts()["queued"] == 1


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path, settings: Settings, journal: Journal) -> None:
    out = _announced(tmp_path, journal, below="sub")
    (tmp_path / "out" / "sub").rename(tmp_path / "elsewhere")
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    assert recovery.recover(journal, settings.folders) == [out]
    publish.discard(publish.Staged(temp=out.temp, sha256="", inode=0, root=tmp_path / "out"))
    assert _names(tmp_path / "elsewhere") == sorted([out.temp.name, "a.classic.jpg"])
    assert journal.counts()["publishing"] == 1


def test_a_name_that_somebody_took_before_the_restart_makes_a_second_one(
    tmp_path: Path, settings: Settings, journal: Journal
) -> None:
    out = _announced(tmp_path, journal, is_linked=False)
    out.target.write_bytes(b"somebody's")
    assert recovery.recover(journal, settings.folders) == []
    assert (journal.counts()["done"], _names(tmp_path / "out")) == (1, ["a.classic-2.jpg", "a.classic.jpg"])


def test_a_name_that_somebody_took_before_the_restart_is_skipped_where_that_is_asked(
    tmp_path: Path, journal: Journal
) -> None:
    folder = FolderSettings(input=tmp_path / "in", output=tmp_path / "out", collision="skip")
    out = _announced(tmp_path, journal, is_linked=False)
    out.target.write_bytes(b"somebody's")
    assert recovery.recover(journal, [folder]) == []
    assert (journal.counts()["queued"], _names(tmp_path / "out")) == (1, ["a.classic.jpg"])
    assert out.target.read_bytes() == b"somebody's"


@pytest.mark.parametrize("point", ["publish.announced", pytest.param("publish.linked", marks=pytest.mark.slow)])
def test_a_kill_beside_a_taken_name_leaves_one_file_where_skipping_is_asked(tmp_path: Path, point: str) -> None:
    house = House(tmp_path, folder='collision = "skip"')
    photo = house.drop("photo.jpg")
    assert house.run_until_killed(**{failpoints.VARIABLE: f"{point}:1"})
    dream = house.output / "photo.classic.jpg"
    dream.unlink(missing_ok=True)
    dream.write_bytes(b"somebody's")
    with house.running():
        house.wait_until(lambda counts: sum(counts.values()) == 0)
        assert [path.read_bytes() for path in house.dreams()] == [b"somebody's"]
        with house.journal() as journal:
            record = journal.file(photo)
        assert record is not None
        assert 'collision = "skip"' in record.verdict
        house.wait_until(lambda _: not house.temps())


def test_a_temp_file_that_cannot_be_removed_makes_no_dream_undone(
    tmp_path: Path, settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = _announced(tmp_path, journal)

    class Os:
        """The module ``os`` as ``publish`` sees it on a disk that removes nothing."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def unlink(self, *_: Any, **__: Any) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(publish, "os", Os())
    assert recovery.recover(journal, settings.folders) == []
    assert journal.counts()["done"] == 1
    assert _names(tmp_path / "out") == sorted([out.temp.name, "a.classic.jpg"])  # the next sweep removes it
