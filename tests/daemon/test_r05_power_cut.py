"""R5: the order of publishing, from the system calls of a real ``deepdream run``, and what a power cut in it leaves.

Order: fsync the temp file → publish without replacing → fsync the folder → commit the journal → touch the source.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from deepdream_daemon.intake import sources
from deepdream_daemon.intake.roots import Root
from deepdream_daemon.journal.journal import Journal
from tests.daemon.faults.house import House, digest
from tests.daemon.faults.syscalls import Call, Disk, power_cuts, read_calls, rebuild, strace
from tests.daemon.stub import is_whole_dream
from tests.tools import lacking

RESTARTED = 5
"""So many of the states are gone on from by default; ``slow`` goes on from each."""


def _needs_strace() -> None:
    if shutil.which("strace") is None:
        lacking("strace", "there is no strace")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode != 0:
        lacking("strace", "this user may not trace")


def _house(root: Path, disposal: str) -> House:
    extra = 'source = "move"\nprocessed = "processed"' if disposal == "move" else f'source = "{disposal}"'
    return House(root, folder=extra, daemon="rescan_seconds = 3600")


Traced = tuple[House, Disk, list[Call], bytes]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Traced]:
    """Return what traces a daemon, once for each disposal: whatever is made of the house later, the trace stays."""
    return lru_cache(maxsize=None)(lambda disposal: _traced(tmp_path_factory.mktemp(disposal), disposal))


def _traced(root: Path, disposal: str) -> Traced:
    """Run the daemon on one picture; return its house as it was before, and all that was done to it."""
    _needs_strace()
    house = _house(root / "house", disposal)
    with house.running():  # makes the journal, which is not what this is about
        pass
    source = house.drop("photo.jpg", "sky").read_bytes()
    before = Disk(house.root)
    with house.running(strace(root / "calls")):
        house.wait_for(done=1)
        house.wait_until(lambda _: not house.temps() and _is_disposed(house, disposal))
    calls = [call for call in read_calls(root / "calls", house.root) if call.paths[0].suffix != ".jsonl"]
    return house, before, calls, source


def _is_disposed(house: House, disposal: str) -> bool:
    return disposal == "keep" or not list(house.input.rglob("photo.jpg"))  # it may have been put aside


def _index(calls: list[Call], wanted: Callable[[Call], bool], after: int = -1) -> int:
    """The first call after another that is wanted."""
    return next(n for n, call in enumerate(calls) if n > after and wanted(call))


@pytest.mark.parametrize("disposal", ["keep", "move", "delete"])
def test_everything_is_durable_before_the_next_step_is_taken(traced: Callable[[str], Traced], disposal: str) -> None:
    house, _, calls, _ = traced(disposal)
    target = house.output / "photo.classic.jpg"
    linked = _index(calls, lambda call: "link" in call.name and call.paths[-1] == target)
    temp = calls[linked].paths[0]
    wal = house.state / "journal.sqlite3-wal"

    def syncs(path: Path) -> Callable[[Call], bool]:
        return lambda call: call.name in {"fsync", "fdatasync"} and call.paths[0] == path

    written = max(n for n, call in enumerate(calls) if call.name == "write" and call.paths[0] == temp)
    temp_synced = _index(calls, syncs(temp), written)
    announced = _index(calls, syncs(wal), temp_synced)
    folder_synced = _index(calls, syncs(house.output), linked)
    committed = _index(calls, syncs(wal), folder_synced)
    assert written < temp_synced < announced < linked < folder_synced < committed
    assert not any(call.name.startswith("rename") and call.paths[-1] == target for call in calls)
    touched = [
        n
        for n, call in enumerate(calls)
        if call.name.startswith(("rename", "unlink")) and call.paths[0] == house.input / "photo.jpg"
    ]
    assert len(touched) == (disposal != "keep")
    assert all(n > committed for n in touched)
    removed = _index(calls, lambda call: call.name.startswith("unlink") and call.paths[0] == temp)
    assert removed > committed


def _check_cuts(traced: Traced, disposal: str, *, seeds: int, restarted: int | None) -> int:
    house, before, calls, source = traced
    # Before the picture was taken, nothing can be lost; the last call of all is well after the end.
    begun = _index(calls, lambda call: call.name == "fdatasync" and call.paths[0].name == "journal.sqlite3-wal")
    states = [state for state in power_cuts(before, calls, seeds) if state[0] >= begun]
    chosen = range(len(states))
    if restarted is not None:
        chosen = sorted(random.Random(1).sample(chosen, min(restarted, len(states))))  # type: ignore[assignment]
    for number, (count, left) in enumerate(states):
        rebuild(left, house.root)  # where it was, since the journal knows it by that
        after = _house(house.root, disposal)
        _renumber(after)
        _check_moment(after, source, f"after {count} calls, {calls[count - 1].name if count else 'none'}")
        if number in chosen:
            with after.running():
                after.wait_for(done=1, queued=0, running=0, publishing=0, vanished=0)
                after.wait_until(lambda _: not after.temps() and _is_disposed(after, disposal))  # noqa: B023
            if disposal == "delete":
                assert [is_whole_dream(path) for path in after.dreams()] == [True]
            else:
                after.check_rest({"photo.jpg": source})
    return len(states)


def _renumber(after: House) -> None:
    """Files and folders made anew have other numbers than those that the journal was told; a power cut leaves them as
    they are."""
    path = after.state / "journal.sqlite3"
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path)) as journal:
        for job, *places in journal.execute("SELECT id, temp, target FROM jobs WHERE state = 'publishing'").fetchall():
            found = [os.stat(place).st_ino for place in places if os.path.exists(place)]  # noqa: PTH110, PTH116
            if found:
                journal.execute("UPDATE jobs SET output_inode = ? WHERE id = ?", (str(found[0]), job))
        for source in after.input.rglob("photo.jpg"):  # there, or held aside
            for table in ("files", "disposals"):
                journal.execute(f"UPDATE {table} SET fingerprint = ?", (sources.fingerprint(source),))
        journal.commit()
    with contextlib.closing(Journal.open(after.state)) as known:
        for folder in filter(known.place, known.known_places()):
            known.note_place(folder, Root.look(folder))
        known.note_places({folder: Root.look(folder) for folder in known.noted_places()})


def _check_moment(after: House, source: bytes, when: str) -> None:
    """What must hold when the power comes back, before anything runs."""
    assert after.violations() == [], when
    places = [path for path in (after.input / "photo.jpg", after.processed / "photo.jpg") if path.exists()]
    assert all(path.read_bytes() == source for path in places), when
    with after.journal() as journal:
        done = journal.recent("done", 2)
    for job in done:
        assert job.output is not None
        output = after.output / job.output.name
        assert output.exists(), f"{when}: the journal has a dream that is not there"
        with after.journal() as journal:
            assert journal.output_with(digest(output)) is not None, when
    assert places or done, f"{when}: the source is gone without a dream"


@pytest.mark.parametrize("disposal", ["keep", "move"])
def test_a_power_cut_at_any_call_loses_nothing(traced: Callable[[str], Traced], disposal: str) -> None:
    assert _check_cuts(traced(disposal), disposal, seeds=1, restarted=RESTARTED) > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("disposal", ["keep", "move", "delete"])
def test_every_power_cut_is_recovered_from(traced: Callable[[str], Traced], disposal: str) -> None:
    states = _check_cuts(traced(disposal), disposal, seeds=6, restarted=None)
    print(f"{disposal}: gone on from {states} different states")
