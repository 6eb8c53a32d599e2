"""A training outlives full disks, kills between any two writes, pictures that rot, and another one of its name."""

from __future__ import annotations

import csv
import importlib.util
import json
import multiprocessing
import resource
from pathlib import Path

import pytest
from filelock import FileLock

from deepdream_engine.errors import BadOption, Cancelled, DeepDreamError
from deepdream_engine.training import figures, finishing, teaching
from deepdream_engine.training.card import CARD, WEIGHTS, Card, read_card
from deepdream_engine.training.finishing import LEFT_OUT
from deepdream_engine.training.recipe import Stage
from deepdream_engine.training.teaching import teach
from deepdream_engine.training.telling import Standing
from deepdream_engine.training.unfinished import EVENTS, METRICS
from tests.engine.teaching import Ear, pictures, task

SHORT = (Stage(epochs=4, rate=0.01),)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("pictures"), each=8)


def taught(place: Path, folder: Path, ear: Ear | None = None, **changes: object) -> Card:
    card = teach(task(place, folder, **{"stages": SHORT, **changes}), ear or Ear())
    assert card is not None
    return card


class Troubled(Ear):
    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__(stop_at)
        self.troubles: list[str] = []
        self.late: list[tuple[str, str]] = []

    def troubled(self, what: str) -> None:
        self.troubles.append(what)

    def unreadable(self, files: object) -> None:
        self.late += files  # type: ignore[arg-type]


class FullLater(Troubled):
    """The disk is full from a step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def standing(self, standing: Standing) -> None:
        super().standing(standing)
        if standing.step == self._step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (30, self.before[1]))


def test_a_full_disk_ends_no_training_and_loses_no_checkpoint(place: Path, tmp_path: Path) -> None:
    ear = FullLater(3)
    try:
        with pytest.raises(DeepDreamError, match=r"cannot be written.*Make room; the same command goes on"):
            taught(place, tmp_path / "m", ear)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, ear.before)
    assert any("cannot be kept at the moment" in each for each in ear.troubles)
    assert ear.heard[-1].step == ear.heard[-1].steps
    assert not list((tmp_path / "m").rglob("*.part"))
    assert not (tmp_path / "m" / CARD).exists()
    again = Ear()
    whole = taught(place, tmp_path / "whole")
    assert taught(place, tmp_path / "m", again).sha256 == whole.sha256
    assert again.resumed == 2  # the epoch before the disk was full


class FullMeanwhile(FullLater):
    """The disk is full from one step to another."""

    def __init__(self, step: int, last: int) -> None:
        super().__init__(step)
        self._last = last

    def standing(self, standing: Standing) -> None:
        super().standing(standing)
        if standing.step == self._last:
            resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.parametrize("log", ["csv", "tensorboard"])
def test_figures_that_cannot_be_written_are_written_later(
    place: Path, tmp_path: Path, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if log == "tensorboard":
        pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'")
    monkeypatch.setattr(figures, "_SECONDS", 0.0)
    ear = FullMeanwhile(15, 45)
    try:
        taught(place, tmp_path / "m", ear, log=log, stages=(Stage(epochs=30, rate=0.01),))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, ear.before)
    assert ear.heard[-1].step == 60
    assert any("figures cannot be written at the moment (File too large)" in each for each in ear.troubles)
    assert logged(tmp_path / "m", log) == [9, 19, 29, 39, 49, 59]


def test_half_an_event_is_written_again_as_a_whole(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'")
    troubles: list[str] = []
    events = figures.Events(tmp_path, troubles.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for step, room in ((1, None), (2, 10), (3, None)):
        events.log_metrics({"loss": 0.5 * step, "epoch": 0}, step)
        size = sum(path.stat().st_size for path in (tmp_path / EVENTS).glob("*"))
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if room is None else size + room, before[1]))
            events.finalize("success")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(troubles) == 1
    assert logged(tmp_path, "tensorboard") == [1, 2, 3]


def logged(folder: Path, log: str) -> list[int]:
    """Return the steps of which the loss was kept."""
    if log == "csv":
        with (folder / METRICS).open(newline="") as file:
            return [int(row["step"]) for row in csv.DictReader(file)]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (path,) = (folder / EVENTS).iterdir()
    read = EventAccumulator(str(path)).Reload()
    return [event.step for event in read.Scalars("loss")]


@pytest.mark.parametrize("last", ["write_card", "clear"])
def test_a_kill_while_a_model_is_replaced_leaves_the_old_one_or_the_new_one(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    folder = tmp_path / "m"
    old = taught(place, folder)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finishing, last, killed)
        with pytest.raises(KeyboardInterrupt):
            taught(place, folder, seed=5, replace=True)
    card = read_card(folder / CARD)
    assert (card == old) is (last == "write_card")
    import hashlib

    assert hashlib.sha256((folder / card.weights).read_bytes()).hexdigest() == card.sha256
    new = taught(place, folder, seed=5, replace=True)
    assert new.sha256 != old.sha256
    assert [path.name for path in folder.glob("weights*")] == [new.weights]
    third = taught(place, folder, seed=6, replace=True)
    assert [path.name for path in folder.glob("weights*")] == [third.weights]


def test_a_card_names_no_file_elsewhere(place: Path, tmp_path: Path) -> None:
    taught(place, tmp_path / "m")
    path = tmp_path / "m" / CARD
    told = json.loads(path.read_text())
    assert told["weights"] == WEIGHTS
    for name in ("../other", "/etc/passwd", "..", ".", CARD, ""):
        path.write_text(json.dumps({**told, "weights": name}))
        with pytest.raises(BadOption, match=r"no card of a taught model"):
            read_card(path)


def test_pictures_that_are_too_many_to_look_at_ahead_are_named_when_they_are_met(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "_LOOK_AT_ALL", 0)
    folder = pictures(tmp_path / "in", each=8)
    for name in ("down/3.png", "across/1.png", "plain/2.png"):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-40])
    ear = Troubled()
    card = taught(folder, tmp_path / "m", ear, workers=1)
    assert {name for name, _ in ear.late} == {"down/3.png", "across/1.png", "plain/2.png"}
    assert card.left_out == 3
    told = (tmp_path / "m" / LEFT_OUT).read_text().splitlines()
    assert sorted(line.split("\t")[0] for line in told) == ["across/1.png", "down/3.png", "plain/2.png"]
    assert all("truncated" in line for line in told)


def test_what_was_unreadable_before_a_stop_is_still_told(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "_LOOK_AT_ALL", 0)
    folder = pictures(tmp_path / "in", each=8)
    broken = folder / "down" / "3.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-40] + bytes(40))  # of the same size
    with pytest.raises(Cancelled):
        taught(folder, tmp_path / "m", Ear(stop_at=5))
    broken.write_bytes(whole)
    ear = Troubled()
    taught(folder, tmp_path / "m", ear)
    assert [name for name, _ in ear.late] == ["down/3.png"]


def _training(place: Path, folder: Path, begun: object, may_end: object) -> None:
    class Waiting(Ear):
        def standing(self, standing: Standing) -> None:
            begun.set()  # type: ignore[attr-defined]
            may_end.wait(60)  # type: ignore[attr-defined]

    teach(task(place, folder, stages=SHORT), Waiting())


@pytest.mark.slow
def test_of_two_trainings_of_one_name_the_second_is_told_and_leaves_the_first_alone(
    place: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    begun, may_end = context.Event(), context.Event()
    first = context.Process(target=_training, args=(place, tmp_path / "m", begun, may_end))
    first.start()
    try:
        assert begun.wait(60)
        with pytest.raises(BadOption, match=r"another command is training 'stripes' at the moment"):
            taught(place, tmp_path / "m", restart=True)
    finally:
        may_end.set()
        first.join(60)
    assert first.exitcode == 0
    assert (tmp_path / "m" / CARD).exists()


def test_a_name_that_is_being_trained_is_taken_until_it_is_done(place: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with FileLock(tmp_path / "m" / ".lock"), pytest.raises(BadOption, match=r"at the moment. Wait for it, or --name"):
        taught(place, tmp_path / "m")
    assert taught(place, tmp_path / "m").classes


class StopsAtOnce(Ear):
    def begun(self, parts: object, listing: object, resumed_step: int) -> None:
        raise Cancelled("stopped")


def test_what_was_not_begun_with_is_no_plan(place: Path, tmp_path: Path) -> None:
    """A mistake that was told before anything was learnt does not bind the next command."""
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "m", StopsAtOnce())
    assert taught(place, tmp_path / "m", batch=4).recipe["batch"] == 4


def test_a_plan_that_cannot_be_read_is_told_of(place: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "m", Ear(stop_at=4))
    (tmp_path / "m" / "training" / "plan.json").write_text("{")
    with pytest.raises(BadOption, match=r"plan\.json' cannot be read.*--restart"):
        taught(place, tmp_path / "m")
    assert taught(place, tmp_path / "m", restart=True)


def test_what_the_machine_lacks_is_told_before_any_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "deepdream_engine.training.trainer.find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    with pytest.raises(BadOption, match=r"not installed.*pip install 'deepdream-daemon\[tensorboard\]'"):
        taught(tmp_path / "nowhere", tmp_path / "m", log="tensorboard")
    with pytest.raises(BadOption, match=r"--devices 9: a batch of 8 is shared.*--set batch=18"):
        taught(tmp_path / "nowhere", tmp_path / "m", devices=9)
    assert not (tmp_path / "m").exists()


def test_figures_for_tensorboard_lie_beside_the_model(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'")
    taught(place, tmp_path / "m", log="tensorboard", stages=(Stage(epochs=8, rate=0.01),))
    (events,) = (tmp_path / "m" / "tensorboard").iterdir()
    assert b"loss" in events.read_bytes()


def test_a_step_of_which_nothing_can_be_read_changes_nothing(place: Path, tmp_path: Path) -> None:
    import torch

    from deepdream_engine.training.class_lesson import ClassLesson
    from deepdream_engine.training.course import Course
    from deepdream_engine.training.data import Fault, stacked
    from tests.engine.teaching import RECIPE, SUBJECT, striped

    lesson = ClassLesson(striped(3), Course(RECIPE, 8, 16), head="fc", mean=SUBJECT.mean, std=SUBJECT.std)
    loss = lesson.training_step(stacked([Fault("a.png", "truncated")]), 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert lesson.faults == {"a.png": "truncated"}
    gradients = [each.grad for each in lesson.network.parameters()]
    assert all(each is not None and not torch.count_nonzero(each) for each in gradients)
