"""A network learns, goes on where it was stopped, is measured on what it has never seen, and says what it cannot."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file
from torch import nn

from deepdream_engine.errors import BadOption, Cancelled
from deepdream_engine.training.card import CARD, WEIGHTS, Card, read_card
from deepdream_engine.training.class_lesson import ClassLesson
from deepdream_engine.training.course import Course
from deepdream_engine.training.finishing import packed
from deepdream_engine.training.heads import head_of, replace_head
from deepdream_engine.training.lesson import Lesson, mistakable
from deepdream_engine.training.recipe import Stage
from deepdream_engine.training.teaching import teach
from deepdream_engine.training.unfinished import METRICS
from deepdream_engine.training.verdict import verdict
from deepdream_engine.training.view_lesson import ViewLesson
from tests.engine.teaching import KINDS, RECIPE, SUBJECT, Ear, Striped, content, pictures, striped, task


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("pictures"), each=20)


def taught(place: Path, folder: Path, ear: Ear | None = None, **changes: object) -> Card:
    card = teach(task(place, folder, **changes), ear or Ear())
    assert card is not None
    return card


def test_it_learns_to_tell_them_apart(place: Path, tmp_path: Path) -> None:
    ear = Ear()
    card = taught(place, tmp_path / "m", ear, stages=(Stage(epochs=12, rate=0.03),))
    assert card.accuracy >= 0.8
    assert card.classes == KINDS
    assert [sum(counts) for counts in card.counts] == [20, 20, 20]
    assert ear.heard[-1].step == ear.heard[-1].steps
    losses = [standing.loss for standing in ear.heard]
    assert losses[-1] < 0.7 * losses[0]
    assert [standing.epoch for standing in ear.heard if standing.is_epochs_end] == list(range(1, 13))
    assert read_card(tmp_path / "m" / CARD) == card
    assert (tmp_path / "m" / METRICS).read_text().startswith("epoch")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == sorted([".lock", CARD, METRICS, WEIGHTS])


def test_what_was_stopped_goes_on_and_ends_as_if_it_had_not_been(place: Path, tmp_path: Path) -> None:
    stages = (Stage(epochs=2, rate=0.02), Stage(epochs=2, side_px=20, rate=0.01, robust_radius=0.3))
    whole = taught(place, tmp_path / "whole", stages=stages, start="random")
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "halves", Ear(stop_at=12), stages=stages, start="random")
    assert not (tmp_path / "halves" / CARD).exists()
    ear = Ear()
    later = taught(place, tmp_path / "halves", ear, stages=stages, start="random")
    assert ear.resumed == 13  # in the middle of an epoch: 5 batches of 8 of 42 pictures each
    assert ear.heard[0].step == 14
    assert any(standing.is_robust for standing in ear.heard)
    assert later.sha256 == whole.sha256


def test_another_recipe_does_not_go_on_with_what_was_begun(place: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "m", Ear(stop_at=6))
    with pytest.raises(BadOption, match=r"begun with other recipe.*--restart"):
        taught(place, tmp_path / "m", batch=4)
    ear = Ear()
    taught(place, tmp_path / "m", ear, batch=4, restart=True, stages=(Stage(epochs=1, rate=0.01),))
    assert ear.resumed == 0


def test_a_damaged_checkpoint_is_told_of(place: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "m", Ear(stop_at=6))
    (tmp_path / "m" / "training" / "last.ckpt").write_bytes(b"damaged")
    with pytest.raises(BadOption, match=r"last.ckpt' cannot be read.*--restart"):
        taught(place, tmp_path / "m")


def test_a_model_is_replaced_only_if_asked_and_stays_until_then(place: Path, tmp_path: Path) -> None:
    short = (Stage(epochs=1, rate=0.01),)
    first = taught(place, tmp_path / "m", stages=short)
    with pytest.raises(BadOption, match=r"there is a model 'stripes' already.*--replace"):
        taught(place, tmp_path / "m", stages=short)
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "m", Ear(stop_at=2), stages=short, seed=5, replace=True)
    assert read_card(tmp_path / "m" / CARD) == first
    assert taught(place, tmp_path / "m", stages=short, seed=5, replace=True).sha256 != first.sha256


def test_it_ends_early_when_nothing_gets_better(place: Path, tmp_path: Path) -> None:
    card = taught(place, tmp_path / "m", stages=(Stage(epochs=60, rate=0.03),), patience=2)
    assert card.epochs < 60
    assert card.accuracy >= 0.6


def test_pictures_that_cannot_be_used_are_left_out_and_told(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", each=8)
    (folder / "down" / "cut.png").write_bytes(content("down", 7)[:-40])
    (folder / "down" / "text.png").write_text("nothing")
    (folder / "plain" / "again.png").write_bytes(content("plain", 3))
    ear = Ear()
    card = taught(folder, tmp_path / "m", ear, stages=(Stage(epochs=1, rate=0.01),))
    reasons = dict(ear.listing.left_out)
    assert set(reasons) == {"down/cut.png", "down/text.png", "plain/again.png"}
    assert "truncated" in reasons["down/cut.png"]
    assert "the same picture as 'plain/3.png'" in reasons["plain/again.png"]
    assert (card.left_out, sum(map(sum, card.counts))) == (3, 24)


def test_classes_whose_pictures_are_all_unreadable_are_too_few(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", each=4)
    for path in (folder / "down").iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadOption, match=r"'down' has 0.*truncated"):
        taught(folder, tmp_path / "m")


def test_pictures_smaller_than_the_network_can_see_are_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"stages.0.side_px: 4: 'striped' needs pictures of 8"):
        taught(place, tmp_path / "m", stages=(Stage(epochs=1, side_px=4, rate=0.1),))


def test_weights_that_go_out_of_bounds_are_told_of(place: Path, tmp_path: Path) -> None:
    def lost(classes: int, _start: str) -> tuple[nn.Module, str, str]:
        module = striped(classes)
        nn.init.constant_(module.fc.weight, float("inf"))
        return module, "fc", ""

    subject = dataclasses.replace(SUBJECT, load=lost)
    with pytest.raises(BadOption, match=r"out of bounds.*--restart"):
        taught(place, tmp_path / "m", stages=(Stage(epochs=1, rate=0.1),), subject=subject)


def test_taught_weights_keep_their_statistics_and_learn_slower_than_the_new_end(place: Path, tmp_path: Path) -> None:
    taught(place, tmp_path / "m", stages=(Stage(epochs=2, rate=0.01),), average=0.0, body_rate=0.0)
    state, before = load_file(tmp_path / "m" / WEIGHTS), striped(3).state_dict()
    assert torch.equal(state["bn.running_mean"], before["bn.running_mean"])
    assert torch.equal(state["stem.weight"].float(), before["stem.weight"].half().float())
    assert not torch.equal(state["fc.bias"], before["fc.bias"])


def test_the_adversary_changes_each_picture_by_its_length_and_raises_the_loss() -> None:
    torch.manual_seed(0)
    lesson = ClassLesson(striped(3).train(), Course(RECIPE, 8, 16), head="fc", mean=SUBJECT.mean, std=SUBJECT.std)
    given, labels = torch.rand(6, 3, 16, 16) * 0.5 + 0.25, torch.tensor([0, 1, 2, 0, 1, 2])
    changed = mistakable(given, 0.5, lambda pictures: lesson.loss(pictures, labels))
    lengths = (changed - given).flatten(1).norm(dim=1)
    assert float(lengths.max()) <= 0.5 + 1e-4
    assert float(lengths.min()) > 0.2
    with torch.no_grad():
        before, after = (lesson.eval().loss(each, labels) for each in (given, changed))
    assert float(after) > float(before)


@pytest.mark.parametrize(("kind", "views"), [(ClassLesson, ()), (ViewLesson, (2,))])
def test_only_what_the_loss_depends_on_learns(kind: type[Lesson], views: tuple[int, ...]) -> None:
    network = striped(3)
    network.aside = nn.Linear(8, 3)  # as an auxiliary classifier is, whose scores nobody asks for here
    lesson = kind(network, Course(RECIPE, 8, 16), head="fc", mean=SUBJECT.mean, std=SUBJECT.std).train()
    before = copy.deepcopy(lesson.state_dict())
    lesson.leave_out_idle()
    assert all(torch.equal(each, before[name]) for name, each in lesson.state_dict().items())
    assert all(part.training for part in lesson.network.modules())
    idle = {name for name, each in lesson.named_parameters() if not each.requires_grad and "averaged" not in name}
    assert idle == {"network.aside.weight", "network.aside.bias"}
    lesson.loss(torch.rand(4, *views, 3, 16, 16), torch.tensor([0, 1, 2, 0])).backward()
    assert all(each.grad is not None for each in lesson.parameters() if each.requires_grad)


@pytest.mark.parametrize("name", ["linear", "convolution"])
def test_the_end_of_a_network_is_found_and_replaced(name: str) -> None:
    module: nn.Module = Striped(5)
    if name == "convolution":
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 7, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    path = head_of(module, "it", 16)
    assert path == {"linear": "fc", "convolution": "1"}[name]
    assert replace_head(module, path, 3)(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


def test_a_network_without_classes_cannot_be_taught() -> None:
    with pytest.raises(BadOption, match=r"no classifier to replace"):
        head_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "it", 16)


def test_weights_are_saved_in_half_precision_as_they_are_measured() -> None:
    module = striped(3)
    state = load(packed(module))
    assert (state["stem.weight"].dtype, state["bn.running_var"].dtype) == (torch.float16, torch.float32)
    assert torch.equal(state["stem.weight"].float(), module.stem.weight)
    with torch.no_grad():
        module.stem.weight[0, 0, 0, 0] = 1e6  # more than half precision holds
    assert load(packed(module))["stem.weight"].dtype == torch.float32


def card(right: tuple[int, ...], of: tuple[int, ...], learnt: int) -> Card:
    names = ("cats", "dogs", "owls")[: len(of)]
    return Card(
        **{"name": "m", "architecture": "a", "base": "a", "base_sha256": "", "classes": names},
        **{"counts": tuple((learnt, 0, count) for count in of), "pictures_sha256": "", "left_out": 0, "side_px": 16},
        **{"min_side_px": 8, "mean": (0, 0, 0), "std": (1, 1, 1), "default_tap": "x", "aliases": {}},
        **{"held_out": sum(of), "right": sum(right), "right5": sum(of), "right_by_class": right},
        **{"held_out_by_class": of, "epochs": 1, "seconds": 1, "sha256": "", "made_with": "", "finished": ""},
    )


def test_it_says_how_sure_it_is_and_what_it_has_not_learnt() -> None:
    good = verdict(card((19, 20, 20), (20, 20, 20), 100))
    assert len(good) == 1
    assert "59 of 60 held-out pictures" in good[0]
    assert "between 91% and 100%" in good[0]
    poor = " ".join(verdict(card((2, 1, 0), (3, 3, 3), 5)))
    assert "has not been shown to tell them apart" in poor
    assert "No better than guessing at: dogs, owls" in poor
    assert "fewer than 20 pictures: cats (5), dogs (5), owls (5)" in poor
    assert "Nothing is known of: owls. No picture of these" in " ".join(verdict(card((19, 20, 0), (20, 20, 0), 100)))


def test_a_card_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / CARD
    for text in ("", "[]", '{"version": 9}', '{"version": 1, "name": "x"}', "{"):
        path.write_text(text)
        with pytest.raises(BadOption, match=r"card\.json' is no card of a taught model"):
            read_card(path)
    whole = {**json.loads(json.dumps(card((1, 1), (2, 2), 3).__dict__)), "std": [1, 1]}
    path.write_text(json.dumps(whole))
    with pytest.raises(BadOption, match=r"mean and std must be three numbers"):
        read_card(path)
    path.unlink()
    with pytest.raises(BadOption, match=r"is gone"):
        read_card(path)
