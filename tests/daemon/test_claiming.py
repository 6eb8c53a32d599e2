"""Which pictures are begun next: priority, hours of the day, how many at once, a pause, and the free-space floor."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import EngineSettings, FolderSettings, Settings
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.claims import Announced, Claim
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.claiming import Claiming
from deepdream_daemon.pipeline.gates import Gates
from deepdream_daemon.pipeline.hours import is_open, opens_at
from deepdream_daemon.publishing import space
from deepdream_daemon.publishing.space import TooLittleSpace, check_floor, shown
from tests.daemon.reloads import FOLDER, QUICK, Reloadable
from tests.daemon.stub import Running, StubRenderer, drop, make_settings, outputs, wait_until


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal.open(tmp_path / "state")
    yield found
    found.close()


def _folders(root: Path, **options: dict[str, object]) -> tuple[FolderSettings, ...]:
    for name in options:
        (root / name).mkdir()
        (root / f"{name}-out").mkdir()
        (root / name / "here").touch()
    return tuple(
        FolderSettings(input=root / name, output=root / f"{name}-out", **said)  # type: ignore[arg-type]
        for name, said in options.items()
    )


def _queue(journal: Journal, folder: Path, *names: str, content: str = "") -> None:
    journal.record(
        [
            Taken(
                path=folder / name,
                fingerprint=name,
                job=NewJob(key=f"{folder} {name}", folder=folder, sha256=content or name, recipe="classic", seed=1),
            )
            for name in names
        ]
    )


def _claiming(root: Path, journal: Journal, folders: tuple[FolderSettings, ...], **changes: object) -> Claiming:
    settings = Settings(path=None, state=root / "state", folders=folders, **changes)  # type: ignore[arg-type]
    gates = Gates(journal, lambda change: change())
    return Claiming(settings, journal, gates, Roots(folder.input for folder in folders))


def test_folders_of_a_higher_priority_come_first_then_the_oldest(tmp_path: Path, journal: Journal) -> None:
    folders = _folders(tmp_path, a={}, b={"priority": 5}, c={}, d={"priority": -1})
    claiming = _claiming(tmp_path, journal, folders)
    for number in range(2):
        for folder in folders:
            _queue(journal, folder.input, f"{folder.input.name}{number}")
    names = [claim.source.name for claim in claiming.claim(7)]
    assert names == ["b0", "b1", "a0", "c0", "a1", "c1", "d0"]
    assert [claim.source.name for claim in claiming.claim(7)] == ["d1"]
    assert claiming.claim(7) == []


def test_what_was_put_off_comes_first_within_its_priority(tmp_path: Path, journal: Journal) -> None:
    folders = _folders(tmp_path, a={}, b={"priority": 1})
    claiming = _claiming(tmp_path, journal, folders)
    for folder in folders:
        _queue(journal, folder.input, *(f"{folder.input.name}{number}" for number in range(3)))
    late = claiming.claim(6)[4]
    journal.put_back([claim.id for claim in (late,)], "test")
    journal.put_back([2, 3, 4, 5, 6], "test")
    [again] = [claim for claim in claiming.claim(6) if claim.id == late.id]
    journal.put_off(again.id, due=time.time() - 1, attempts=0, delays=1, error="e", advice="a")
    journal.put_back([1, 2, 3, 4, 5, 6], "test")
    names = [claim.source.name for claim in claiming.claim(9)]
    assert names[:3] == ["b0", "b1", "b2"]
    assert names[3] == late.source.name


def test_no_more_of_a_folder_are_under_way_than_it_says(tmp_path: Path, journal: Journal) -> None:
    folders = _folders(tmp_path, a={"max_at_once": 2}, b={})
    a, b = (folder.input for folder in folders)
    claiming = _claiming(tmp_path, journal, folders)
    _queue(journal, a, "a0", "a1", "a2", "a3")
    _queue(journal, b, "b0", "b1")
    first = claiming.claim(3)
    assert [claim.source.name for claim in first] == ["a0", "a1", "b0"]
    assert [claim.source.name for claim in claiming.claim(3)] == ["b1"]
    journal.put_back([first[1].id], "test")
    journal.announce(Announced(job=first[0].id, temp=a / "t", target=a / "d", sha256="", inode=1))
    ours = {a: {first[0].id}}
    assert [claim.source.name for claim in claiming.claim(3, lambda path: ours.get(path, set()))] == ["a1"]
    assert [claim.source.name for claim in claiming.claim(3)] == ["a2"], "nobody here publishes a0"


def test_what_another_configuration_has_begun_counts_as_well(tmp_path: Path, journal: Journal) -> None:
    folders = _folders(tmp_path, a={"max_at_once": 2})
    _queue(journal, folders[0].input, "a0", "a1", "a2")
    former, latter = (_claiming(tmp_path, journal, folders) for _ in range(2))
    [begun] = former.claim(1)
    assert len(latter.claim(3)) == 1
    assert latter.claim(3) == []
    journal.put_back([begun.id], "test")
    assert [claim.id for claim in latter.claim(3)] == [begun.id]


def test_no_more_are_under_way_than_a_folder_says_while_two_configurations_overlap(tmp_path: Path) -> None:
    text = f"{FOLDER}max_at_once = 1\n"
    goes_on = threading.Event()
    with Reloadable(tmp_path, text + QUICK) as daemon:
        daemon.renderers[0].before_dream = lambda _: goes_on.wait(60) and None
        drop(tmp_path / "in" / "1.jpg", "sky")
        wait_until(lambda: any(each.stage == "dreaming" for each in daemon.snapshot().active))
        daemon.write(f"{text}priority = 1\n{QUICK}")
        daemon.wait_for_generation(2)
        drop(tmp_path / "in" / "2.jpg", "sea")
        wait_until(lambda: daemon.snapshot().counts["queued"] == 1)
        time.sleep(0.4)
        assert daemon.snapshot().counts["running"] == 1
        goes_on.set()
        wait_until(lambda: daemon.snapshot().counts["done"] == 2)


def test_nothing_is_begun_while_it_is_paused(tmp_path: Path, journal: Journal) -> None:
    (folder,) = _folders(tmp_path, a={})
    claiming = _claiming(tmp_path, journal, (folder,))
    _queue(journal, folder.input, "a0")
    journal.pause()
    assert claiming.claim(3) == []
    assert claiming.held_back() == {folder.input: "the daemon is paused"}
    journal.resume()
    assert claiming.held_back() == {}
    assert len(claiming.claim(3)) == 1


def test_what_was_claimed_is_begun_though_the_journal_fails_for_the_next_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be at work for ever, with nobody who works at it."""
    folders = _folders(tmp_path, a={"priority": 1}, b={})
    fails = threading.Event()
    claim = Journal.claim

    def failing(self: Journal, limit: int, paths: Sequence[Path], **options: Any) -> list[Claim]:
        if fails.is_set() and paths == [folders[1].input]:
            fails.clear()
            raise sqlite3.OperationalError("disk I/O error")
        return claim(self, limit, paths, **options)

    monkeypatch.setattr(Journal, "claim", failing)
    settings = make_settings(tmp_path, folders=folders)
    for folder in folders:
        (folder.input / "here").unlink()
    with Running(settings) as running:
        wait_until(lambda: running.daemon.snapshot().beats != {})
        fails.set()
        drop(folders[0].input / "photo.jpg", "sky")
        wait_until(lambda: not fails.is_set())
        running.wait_for(done=1, running=0)


def test_copies_of_one_picture_are_not_at_work_together(tmp_path: Path, journal: Journal) -> None:
    folders = _folders(tmp_path, a={"deduplicate": True}, b={})
    a, b = (folder.input for folder in folders)
    claiming = _claiming(tmp_path, journal, folders)
    _queue(journal, a, "a0", "a1", "a2", content="same")
    _queue(journal, a, "a3")
    _queue(journal, b, "b0", "b1", content="same")
    first = claiming.claim(9)
    assert [claim.source.name for claim in first] == ["a0", "a3", "b0", "b1"]
    assert claiming.claim(9) == []
    journal.fail(first[0].id, attempts=1, error="e", advice="a")
    assert [claim.source.name for claim in claiming.claim(9)] == ["a1"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])
def test_hours_are_those_of_the_clock_on_the_wall(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    with _zone(monkeypatch, zone):
        noon = time.mktime((2026, 7, 1, 12, 0, 0, 0, 0, -1))
        assert is_open([], noon)
        assert is_open(["12:00-13:00"], noon)
        assert is_open(["22:00-12:01"], noon)
        assert not is_open(["22:00-12:00"], noon)
        assert is_open(["01:00-02:00", "11:59-12:01"], noon)
        assert is_open(["00:00-24:00"], noon)
        assert opens_at(["12:00-13:00"], noon) == noon
        assert opens_at(["22:00-06:00"], noon) == time.mktime((2026, 7, 1, 22, 0, 0, 0, 0, -1))
        assert opens_at(["06:00-07:00"], noon) == time.mktime((2026, 7, 2, 6, 0, 0, 0, 0, -1))


def test_hours_survive_the_change_of_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    with _zone(monkeypatch, "Europe/Berlin"):
        # On 29 March 2026 the clock goes from 01:59 to 03:00, on 25 October from 02:59 to 02:00.
        before = time.mktime((2026, 3, 29, 1, 59, 0, 0, 0, -1))
        assert not is_open(["02:00-03:00"], before)
        assert not is_open(["02:00-03:00"], before + 60)  # which is 03:00
        assert opens_at(["02:00-03:00"], before) == time.mktime((2026, 3, 30, 2, 0, 0, 0, 0, -1))
        assert opens_at(["02:30-04:00"], before) == before + 60
        assert [is_open(["22:00-06:00"], before + 3600 * hour) for hour in range(5)] == [True] * 4 + [False]
        first = time.mktime((2026, 10, 25, 2, 30, 0, 0, 0, 1))
        assert is_open(["02:00-03:00"], first)
        assert is_open(["02:00-03:00"], first + 3600)  # 02:30 once more
        assert not is_open(["02:00-03:00"], first + 7200)


class _zone:  # reads like a function
    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("TZ", name)

    def __enter__(self) -> None:
        time.tzset()

    def __exit__(self, *_: object) -> None:
        self._monkeypatch.undo()
        time.tzset()


def test_a_folder_is_dreamt_within_its_hours_only(tmp_path: Path, journal: Journal) -> None:
    now = time.localtime()
    minute = now.tm_hour * 60 + now.tm_min
    later = [f"{_clock(minute + 120)}-{_clock(minute + 180)}"]
    folders = _folders(tmp_path, a={"hours": (*later,)}, b={"hours": (f"{_clock(minute)}-{_clock(minute + 5)}",)})
    claiming = _claiming(tmp_path, journal, folders)
    _queue(journal, folders[0].input, "a0")
    _queue(journal, folders[1].input, "b0")
    assert [claim.source.name for claim in claiming.claim(9)] == ["b0"]
    assert claiming.held_back() == {folders[0].input: f"it is dreamt {later[0]}"}


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"


def test_below_the_floor_nothing_is_begun(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = _folders(tmp_path, a={}, b={})
    monkeypatch.setattr(
        space, "free_bytes", lambda path: 1 << 20 if path == folders[0].output else None if "b" in path.name else 0
    )
    claiming = _claiming(tmp_path, journal, folders, min_free_gib=0.5)
    _queue(journal, folders[0].input, "a0")
    _queue(journal, folders[1].input, "b0")
    assert [claim.source.name for claim in claiming.claim(9)] == ["b0"]
    [hold] = journal.holds()
    assert hold.folder == folders[0].input
    assert "1 MiB of its disk are free, less than [daemon] min_free_gib = 0.5" in hold.error
    assert "min_free_gib" in hold.advice


def test_the_floor_counts_what_is_about_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "free_bytes", lambda _: (1 << 30) + 99)
    check_floor(tmp_path, 1.0, 99)
    check_floor(tmp_path, 0.0, 1 << 40)
    with pytest.raises(TooLittleSpace):
        check_floor(tmp_path, 1.0, 100)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 30, "3 GiB")]
)
def test_sizes_are_told_for_people(size: int, text: str) -> None:
    assert shown(size) == text


def test_below_the_floor_publishing_pauses_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1 << 40]
    monkeypatch.setattr(space, "free_bytes", lambda _: free[0])
    renderer = StubRenderer()
    begun = threading.Event()

    def fill(_: bytes) -> None:
        free[0] = 1000
        begun.set()

    renderer.before_dream = fill
    settings = make_settings(tmp_path)
    for number in range(5):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        assert begun.wait(60)
        wait_until(lambda: "min_free_gib" in (running.daemon.snapshot().degraded or ""))
        running.wait_for(running=0, publishing=0)
        assert outputs(tmp_path / "out") == []
        renderer.before_dream = lambda _: None
        free[0] = 1 << 40
        running.wait_for(done=5)
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_no_more_are_queued_than_the_limit(tmp_path: Path) -> None:
    renderer = StubRenderer()
    may = threading.Event()
    renderer.before_dream = lambda _: may.wait(60) and None
    settings = make_settings(tmp_path, max_queued=3)
    settings = replace(settings, folders=(replace(settings.folders[0], max_at_once=1),))
    for number in range(12):
        drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
    with Running(settings, renderer) as running:
        running.wait_for(running=1, queued=3)
        wait_until(lambda: "max_queued = 3" in (running.daemon.snapshot().degraded or ""))
        time.sleep(0.7)
        assert running.counts()["queued"] == 3
        assert running.daemon.snapshot().settling == 8
        may.set()
        running.wait_for(done=12)
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert len(outputs(tmp_path / "out")) == 12


def test_a_picture_of_a_higher_priority_overtakes_those_that_wait_for_the_engine(tmp_path: Path) -> None:
    (tmp_path / "urgent").mkdir()
    (tmp_path / "in").mkdir()
    dreamt: list[bytes] = []
    renderer = StubRenderer(dream_seconds=0.3)
    renderer.before_dream = dreamt.append
    settings = make_settings(tmp_path, engine=EngineSettings(max_batch=1))
    urgent = FolderSettings(input=tmp_path / "urgent", output=tmp_path / "out", priority=1)
    settings = replace(settings, folders=(*settings.folders, urgent))
    for number in range(9):
        drop(tmp_path / "in" / f"{number}.jpg", "patient")
    with Running(settings, renderer):
        wait_until(lambda: bool(dreamt))
        drop(tmp_path / "urgent" / "photo.jpg", "urgent")
        wait_until(lambda: b"urgent" in dreamt)
    # It is claimed when the first one is done, and while it is decoded another one or two may begin.
    assert dreamt.index(b"urgent") <= 4
