"""Pictures without classes: a network learns to know each again in another view, and loses its head."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deepdream_engine.errors import BadOption, Cancelled
from deepdream_engine.training.card import CARD, WEIGHTS, Card, read_card
from deepdream_engine.training.course import Draw
from deepdream_engine.training.data import Pictures, stacked
from deepdream_engine.training.heads import head_of, replace_head
from deepdream_engine.training.lesson import mistakable
from deepdream_engine.training.listing import has_labels, list_pictures
from deepdream_engine.training.recipe import Stage
from deepdream_engine.training.teaching import teach
from deepdream_engine.training.verdict import verdict
from deepdream_engine.training.view_lesson import ViewLesson, likenesses, nearest, vicreg
from tests.engine.teaching import KINDS, SUBJECT, Ear, Striped, content, striped, task
from tests.engine.test_training_data import course

SHORT = Stage(epochs=2, rate=0.001)


def headless(classes: int, _start: str) -> tuple[nn.Module, str, str]:
    return replace_head(striped(5), "fc", classes), "fc", "0" * 64


def loose(folder: Path, each: int = 16) -> Path:
    """Write pictures that lie in no sub-folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for seed in range(each):
            (folder / f"{kind}-{seed}.png").write_bytes(content(kind, seed))
    return folder


def taught(place: Path, folder: Path, ear: Ear | None = None, **changes: object) -> Card:
    import dataclasses

    settings = {"goal": "views", "grey": 0.1, "crop": 0.4, "batch": 16, "clip": 1.0, "stages": (SHORT,), **changes}
    begun = task(place, folder, subject=dataclasses.replace(SUBJECT, load=headless), **settings)
    card = teach(begun, ear or Ear())
    assert card is not None
    return card


def test_what_is_learnt_without_classes_is_a_body_without_a_head(tmp_path: Path) -> None:
    ear = Ear()
    card = taught(loose(tmp_path / "in"), tmp_path / "m", ear, stages=(Stage(epochs=6, rate=0.001),))
    assert card.classes == ()
    assert (card.held_out, [sum(counts) for counts in card.counts]) == (10, [48])
    losses = [standing.loss for standing in ear.heard]
    assert losses[-1] < losses[0]
    assert read_card(tmp_path / "m" / CARD) == card
    assert not any(name.startswith(("fc", "expander")) for name in load_file(tmp_path / "m" / WEIGHTS))
    assert "without classes" in card.summary
    said = verdict(card)
    assert f"{card.right} of 10 held-out pictures are known again" in said[0]
    assert any("Learnt from 33 pictures" in each for each in said)
    assert "It knows no classes" in said[-1]


def test_a_training_without_classes_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    place = loose(tmp_path / "in")
    stages = (Stage(epochs=2, rate=0.001), Stage(epochs=1, rate=0.001, robust_radius=0.3))
    whole = taught(place, tmp_path / "whole", stages=stages)
    with pytest.raises(Cancelled):
        taught(place, tmp_path / "halves", Ear(stop_at=3), stages=stages)
    ear = Ear()
    assert taught(place, tmp_path / "halves", ear, stages=stages).sha256 == whole.sha256
    assert ear.resumed == 4  # the epoch that it was stopped at the end of
    assert any(standing.is_robust for standing in ear.heard)


def test_everything_alike_is_no_way_out() -> None:
    torch.manual_seed(0)
    varied = torch.randn(64, 32)
    alike, pairwise_equal = torch.ones(64, 32), varied[:, :1].expand(-1, 32)
    fine = float(vicreg(varied, varied))
    assert fine < 2
    assert float(vicreg(alike, alike)) > 10 * fine
    assert float(vicreg(pairwise_equal, pairwise_equal)) > 10 * fine
    assert float(vicreg(varied, varied.flip(0))) > 10 * fine


def test_who_finds_the_other_view_nearest_is_counted() -> None:
    torch.manual_seed(0)
    one = torch.randn(20, 16)
    assert [int(count) for count in nearest(likenesses(one, one + 0.01 * torch.randn(20, 16)))] == [20, 20]
    first, five = (int(count) for count in nearest(likenesses(one, one.roll(1, 0))))
    assert first <= 2 < five + 3 < 20


def test_two_views_of_a_picture_differ_and_watched_ones_stay(tmp_path: Path) -> None:
    listing, _ = list_pictures(loose(tmp_path, 2), labels=False)
    recipe = course(Stage(epochs=1, rate=0.1), goal="views").recipe
    shown = Pictures(listing, listing.samples, recipe, 24)
    looks = [stacked([shown[Draw(place, 16, 7)] for place in range(len(shown))]).pictures for _ in range(2)]
    assert looks[0].shape == (6, 2, 3, 16, 16)
    assert torch.equal(*looks)
    assert not torch.equal(looks[0][:, 0], looks[0][:, 1])


def test_both_views_are_made_mistakable() -> None:
    torch.manual_seed(0)
    plan = course(Stage(epochs=1, rate=0.1), goal="views")
    module = headless(0, "weights")[0]
    lesson = ViewLesson(module, plan, head="fc", mean=SUBJECT.mean, std=SUBJECT.std)
    views = torch.rand(6, 2, 3, 16, 16) * 0.5 + 0.25
    changed = mistakable(views, 0.5, lambda given: lesson.loss(given, torch.zeros(6)))
    lengths = (changed - views).flatten(2).norm(dim=2)
    assert 0.2 < float(lengths.min()) <= float(lengths.max()) <= 0.5 + 1e-4


def test_a_network_that_lost_its_head_gets_one_of_the_same_kind() -> None:
    module = replace_head(Striped(5), "fc", 0)
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 8)
    assert "fc.weight" not in module.state_dict()
    assert head_of(module, "it", 16) == "fc"
    assert replace_head(module, "fc", 3)(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


def test_pictures_in_no_sub_folder_have_no_labels(tmp_path: Path) -> None:
    place = loose(tmp_path / "loose", 2)
    (place / "notes").mkdir()
    (place / "notes" / "readme.txt").write_text("no picture")
    assert not has_labels(place)
    listing, apart = list_pictures(place, labels=False)
    assert (len(listing.samples), listing.classes, apart) == (6, (), None)
    (place / "cats").mkdir()
    (place / "cats" / "1.png").write_bytes(content("down", 1))
    assert has_labels(place)
    assert len(list_pictures(place, labels=False)[0].samples) == 7
    (tmp_path / "empty").mkdir()
    assert has_labels(tmp_path / "empty")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("top/1.png", content("down", 1))
        archive.writestr("top/2.png", content("down", 2))
    assert has_labels(tmp_path / "x.zip")
    for part in ("train", "val"):
        loose(tmp_path / "apart" / part, 1)
    assert not has_labels(tmp_path / "apart")
    assert [len(part.samples) for part in list_pictures(tmp_path / "apart", labels=False) if part] == [3, 3]


def test_three_photos_without_labels_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"has 3 pictures without labels, too few.* 16 at least"):
        taught(loose(tmp_path / "in", 1), tmp_path / "m")
    assert not (tmp_path / "m").exists()
