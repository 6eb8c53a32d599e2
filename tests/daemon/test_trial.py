"""The trial of those that may have ended the worker: quick, and never unjust."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.trial import Trial
from deepdream_daemon.pipeline.under_way import UnderWay
from deepdream_daemon.worker.died import WorkerDied

FOLDER = FolderSettings(input=Path("/in"), output=Path("/out"))


def claim(number: int) -> Claim:
    return Claim(
        id=number,
        key=str(number),
        source=Path(f"/in/{number}.jpg"),
        folder=Path("/in"),
        sha256="",
        recipe="classic",
        attempts=0,
        delays=0,
    )


def tasks(count: int) -> list[Task]:
    return [Task(claim(number), FOLDER) for number in range(count)]


def accuse(trial: Trial, group: Iterable[Task], suspects: int = 0) -> None:
    group = list(group)
    for task in group:
        trial.accuse(task, WorkerDied("was killed by SIGSEGV", 1, suspects or len(group)))


def held(count: int, bad: Collection[int], at_once: int = 1000) -> tuple[list[int], list[int], int]:
    """Hold trials until all are dreamt or guilty: return both, and how many more passes than one it took."""
    waiting, done, guilty, passes = tasks(count), list[int](), list[int](), 0
    while waiting:
        group, waiting = waiting, []
        trial = Trial()
        while group:
            passes += 1
            running, later = group[:at_once], group[at_once:]
            if killers := [task for task in running if task.order in bad]:
                assert killers
                accuse(trial, running)
                waiting += later  # they only waited there, and are begun again when the trial is over
            else:
                done += [task.order for task in running]
                waiting += later
            verdict = trial.judge()
            if verdict.guilty is not None:
                guilty.append(verdict.guilty.order)
            waiting += verdict.free
            group = trial.call()
        assert not trial.is_on
    return sorted(done), sorted(guilty), passes - 1


@pytest.mark.parametrize("bad", range(32))
def test_r09_whichever_of_32_it_is_it_is_found_with_at_most_ten_more_passes(bad: int) -> None:
    done, guilty, passes = held(32, {bad})
    assert guilty == [bad]
    assert done == [number for number in range(32) if number != bad]
    assert passes <= 10


def test_several_are_found_and_nobody_else_is_punished() -> None:
    rng = random.Random(0)
    for _ in range(300):
        count = rng.randint(1, 40)
        bad = set(rng.sample(range(count), rng.randint(0, min(count, 5))))
        done, guilty, passes = held(count, bad, at_once=rng.choice([2, 8, 1000]))
        assert guilty == sorted(bad)
        assert done == [number for number in range(count) if number not in bad]
        assert passes <= 12 * len(bad) + count


def test_one_death_alone_is_not_enough() -> None:
    trial, (task,) = Trial(), tasks(1)
    accuse(trial, [task])
    assert trial.judge().guilty is None
    assert trial.call() == [task]
    assert trial.judge().guilty is None, "it lived"
    assert trial.call() == []
    assert not trial.is_on


def test_a_death_with_pictures_of_other_works_in_the_same_worker_shows_nothing() -> None:
    trial, (task,) = Trial(), tasks(1)
    for _ in range(4):
        accuse(trial, [task], suspects=2)
        assert trial.judge().guilty is None
        assert trial.call() == [task]
    accuse(trial, [task])
    trial.judge()
    trial.call()
    accuse(trial, [task])
    assert trial.judge().guilty is task


def test_who_ended_in_another_way_is_not_called() -> None:
    trial, group = Trial(), tasks(4)
    accuse(trial, group)
    trial.judge()
    assert trial.call() == group[:2]
    trial.leave_out(group[2])
    trial.judge()
    assert trial.call() == group[3:]


def test_all_who_are_suspected_are_free_when_the_trial_is_dismissed() -> None:
    trial, group = Trial(), tasks(8)
    accuse(trial, group)
    trial.judge()
    called = trial.call()
    accuse(trial, called[:1])
    assert {task.order for task in trial.dismiss()} == {0, 4, 5, 6, 7}
    assert not trial.is_on


def test_only_what_was_claimed_here_and_not_concluded_is_ours() -> None:
    under_way = UnderWay(Room(10))
    first, second = (under_way.add(claim(number), FOLDER) for number in (1, 2))
    under_way.let_go(first)
    assert under_way.ours == {1, 2}, "the journal does not know yet"
    under_way.concluded([1])
    assert under_way.ours == {2}
    assert first not in under_way
    assert second in under_way
    assert under_way.in_folder(Path("/in")) == {2}
    assert under_way.in_folder(Path("/elsewhere")) == set()


def test_a_job_that_begins_again_gives_its_room_back() -> None:
    room = Room(10)
    under_way = UnderWay(room)
    task = under_way.add(claim(1), FOLDER)
    room.take(10)
    task.megapixels, task.is_begun = 10, True
    under_way.begin_again(task)
    room.take(10)
    assert under_way.begun() == []
    under_way.let_go(task)  # it has none
    room.give(10)
    room.take(10)


def test_time_counts_only_while_something_is_done_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    under_way = UnderWay(Room(10))
    task = under_way.add(claim(1), FOLDER)
    for stage, seconds in (("waiting", 50), ("reading", 1), ("waiting for memory", 50), ("dreaming", 2)):
        task.stage = stage
        now[0] += seconds
    assert task.worked_seconds == 3
    assert under_way.overdue(2.5) == [task]
    assert under_way.overdue(3.5) == []
