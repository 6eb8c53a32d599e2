"""A training that is stopped after any step ends as if it had not been, and what is best is chosen as it should."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine.errors import BadOption, Cancelled
from deepdream_engine.training import data, keeping, teaching
from deepdream_engine.training.card import Card
from deepdream_engine.training.class_lesson import ClassLesson
from deepdream_engine.training.recipe import Stage
from deepdream_engine.training.task import Watcher
from deepdream_engine.training.teaching import teach
from deepdream_engine.training.telling import Standing
from deepdream_engine.training.unfinished import METRICS
from tests.engine.teaching import SUBJECT, Ear, pictures, striped, task

STAGES = (Stage(epochs=2, rate=0.02), Stage(epochs=2, side_px=20, rate=0.01, robust_radius=0.3))
"""Of 5 steps an epoch, with the pictures that are here."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("pictures"), each=20)


def taught(place: Path, folder: Path, ear: Watcher | None = None, **changes: object) -> Card:
    card = teach(task(place, folder, **changes), ear or Ear())
    assert card is not None
    return card


@pytest.mark.parametrize(("start", "workers"), [("random", 0), ("weights", 1)])
def test_stops_in_the_middle_of_epochs_change_nothing(place: Path, tmp_path: Path, start: str, workers: int) -> None:
    how = {"stages": STAGES, "start": start, "patience": 9, "workers": workers}
    whole = taught(place, tmp_path / "whole", **how)
    resumed = []
    for stop_at in (1, 6, 12):
        ear = Ear(stop_at)
        with pytest.raises(Cancelled):
            taught(place, tmp_path / "parts", ear, **how)
        resumed.append(ear.resumed)
    ear = Ear()
    card = taught(place, tmp_path / "parts", ear, **how)
    assert [*resumed, ear.resumed] == [0, 2, 7, 13]  # a stop is heard of after the step that follows
    assert [standing.step for standing in ear.heard if standing.is_epochs_end] == [15, 20]
    assert card.sha256 == whole.sha256
    for folder in ("whole", "parts"):
        with (tmp_path / folder / METRICS).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows if row["loss"]] == [9, 19]
        assert [int(row["step"]) for row in rows if row["watched_loss"]] == [4, 9, 14, 19]


@pytest.mark.parametrize(("batch", "kept"), [(64, [10]), (2, range(5, 10))])
def test_a_stop_while_watched_pictures_are_looked_at_waits_for_few_of_them(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, kept: Sequence[int]
) -> None:
    monkeypatch.setattr(data, "plain_looks", partial(data.plain_looks, batch=batch))
    whole = taught(place, tmp_path / "whole", stages=STAGES, patience=9)
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "m", Ear(stop_at=9), stages=STAGES, patience=9)
    ear = Ear()
    assert taught(place, tmp_path / "m", ear, stages=STAGES, patience=9).sha256 == whole.sha256
    assert ear.resumed in kept


class Killed(Ear):
    """Dies at a step."""

    def standing(self, standing: Standing) -> None:
        super().standing(standing)
        if standing.step == 8:
            raise RuntimeError("killed")


def test_a_kill_loses_no_more_than_some_seconds(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = taught(place, tmp_path / "whole", stages=STAGES)
    monkeypatch.setattr(keeping, "_SECONDS", 0.0)
    monkeypatch.setattr(keeping, "_SHARE", 1e9)
    with pytest.raises(RuntimeError, match="killed"):
        taught(place, tmp_path / "m", Killed(), stages=STAGES)
    ear = Ear()
    assert taught(place, tmp_path / "m", ear, stages=STAGES).sha256 == whole.sha256
    assert ear.resumed == 8


def test_what_is_kept_of_an_adversarial_part_has_seen_the_adversary(place: Path, tmp_path: Path) -> None:
    """On plain pictures, the end of the plain part has the least loss of all."""
    plain = Stage(epochs=8, rate=0.03)
    before = taught(place, tmp_path / "plain", stages=(plain,))
    both = taught(place, tmp_path / "m", stages=(plain, Stage(epochs=6, rate=0.02, robust_radius=4.0)), patience=2)
    assert both.sha256 != before.sha256
    assert both.epochs > 8 + 2


def test_the_look_in_an_adversarial_part_is_at_mistakable_pictures(place: Path, tmp_path: Path) -> None:
    taught(place, tmp_path / "m", stages=(Stage(epochs=2, rate=1e-6), Stage(epochs=2, rate=1e-6, robust_radius=4.0)))
    with (tmp_path / "m" / METRICS).open(newline="") as file:
        looks = [float(row["watched_loss"]) for row in csv.DictReader(file) if row["watched_loss"]]
    assert looks[1] == pytest.approx(looks[0], abs=1e-3)
    assert looks[2] > looks[1] + 0.01
    assert looks[3] == pytest.approx(looks[2], abs=1e-3)


class Troubled(Ear):
    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[str] = []

    def troubled(self, what: str) -> None:
        self.troubles.append(what)


@pytest.fixture
def lost_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights become no numbers at step 13."""
    loss = ClassLesson.loss

    def spoilt(lesson: ClassLesson, pictures: Tensor, labels: Tensor) -> Tensor:
        return loss(lesson, pictures, labels) * (float("nan") if lesson.global_step >= 12 else 1.0)

    monkeypatch.setattr(ClassLesson, "loss", spoilt)


@pytest.mark.usefixtures("lost_later")
def test_weights_that_go_out_of_bounds_late_leave_the_best_ones(place: Path, tmp_path: Path) -> None:
    ear = Troubled()
    card = taught(place, tmp_path / "m", ear, stages=(Stage(epochs=30, rate=0.02),), patience=8)
    assert card.epochs == 3
    assert card.accuracy > 0.4
    (said,) = ear.troubles
    assert "no numbers any more after step 15. What was best before is used." in said
    assert said.endswith("Lower the rate: --set stages.0.rate=0.005 --restart --replace")


@pytest.mark.usefixtures("lost_later")
@pytest.mark.parametrize(
    ("patience", "stages"),
    [
        (0, (Stage(epochs=30, rate=0.02),)),
        (8, (Stage(epochs=3, rate=0.02), Stage(epochs=3, rate=0.01, robust_radius=0.3))),
        (8, (Stage(epochs=2, rate=0.02), Stage(epochs=3, rate=0.02, robust_radius=0.3))),
    ],
)
def test_nothing_is_made_of_weights_that_went_out_of_bounds_before_the_end(
    place: Path, tmp_path: Path, patience: int, stages: tuple[Stage, ...]
) -> None:
    ear = Ear()
    wrong = r"after step 15\. Lower the rate: --set stages\.\d\.rate=0\.005 --restart"
    with pytest.raises(BadOption, match=wrong):
        taught(place, tmp_path / "m", ear, stages=stages, patience=patience)
    assert ear.heard[-1].step == 15
    kept = torch.load(tmp_path / "m" / "training" / "last.ckpt", weights_only=True)
    assert kept["global_step"] <= 12
    assert all(bool(value.isfinite().all()) for value in kept["state_dict"].values())


def test_a_helping_process_leaves_the_plan_alone(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is started with the same command, --restart and all, by the one that has begun again already."""
    plan = tmp_path / "m" / "training" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text("{}")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(teaching, "_taught", lambda *_: None)
    assert teach(task(place, tmp_path / "m", restart=True), Ear()) is None
    assert plan.exists()


def test_a_card_tells_the_colours_that_the_network_itself_wants(place: Path, tmp_path: Path) -> None:
    def load(classes: int, _start: str) -> tuple[nn.Module, str, str]:
        module = striped(classes)
        module.pixel_mean, module.pixel_std = (0.4, 0.45, 0.5), (0.2, 0.3, 0.25)  # type: ignore[assignment]
        return module, "fc", ""

    subject = dataclasses.replace(SUBJECT, load=load)
    card = taught(place, tmp_path / "m", stages=(Stage(epochs=1, rate=0.01),), subject=subject)
    assert (card.mean, card.std) == ((0.4, 0.45, 0.5), (0.2, 0.3, 0.25))
