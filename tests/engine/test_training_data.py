"""Pictures on their way to the network, and the course of a training."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
import torch
from PIL import Image

from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.training.course import Course, Draw
from deepdream_engine.training.data import Fault, Order, Pictures, middle, stacked
from deepdream_engine.training.listing import list_pictures
from deepdream_engine.training.reading import read_small
from deepdream_engine.training.recipe import Stage, read_recipe, recipe_names
from tests.engine.teaching import RECIPE, content, pictures


def course(*stages: Stage, pictures: int = 20, **changes: object) -> Course:
    import dataclasses

    return Course(dataclasses.replace(RECIPE, stages=stages, **changes), pictures, 16)


def test_every_epoch_shows_every_picture_once_in_another_order() -> None:
    plan = course(Stage(epochs=3, rate=0.1), batch=5)
    assert (plan.epoch_steps, plan.steps) == (4, 12)
    epochs = [
        [draw.place for step in range(4 * epoch, 4 * epoch + 4) for draw in plan.batch(step)] for epoch in range(3)
    ]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_step_is_the_same_whoever_asks_and_whenever() -> None:
    one, other = (course(Stage(epochs=3, rate=0.1), batch=5) for _ in range(2))
    list(map(one.batch, range(9)))
    assert one.batch(9) == other.batch(9)


def test_epochs_follow_each_other_and_processes_share_them() -> None:
    plan = course(Stage(epochs=30, rate=0.1), batch=5, pictures=1000)
    halves = [list(Order(plan, lambda: 5950, rank, 2)) for rank in range(2)]
    assert len(halves[0]) == 50
    whole = [sorted([*one, *two]) for one, two in zip(*halves, strict=True)]
    assert whole == [sorted(plan.batch(step)) for step in range(5950, 6000)]


def test_rates_warm_up_fall_and_begin_anew_where_a_stage_says_so() -> None:
    plan = course(Stage(epochs=10, rate=0.1), Stage(epochs=10), Stage(epochs=5, rate=0.04), batch=20, pictures=200)
    rates = [plan.rate_at(step) for step in range(plan.steps)]
    assert max(rates[:200]) == pytest.approx(0.1)
    assert rates[0] < 0.02
    assert rates[199] < 0.001
    assert max(rates[200:]) == pytest.approx(0.04)
    assert rates[-1] < 0.001
    falling = rates[20:200]
    assert all(later <= earlier for earlier, later in itertools.pairwise(falling))


def test_stages_grow_pictures_and_turn_adversarial() -> None:
    plan = course(Stage(epochs=1, side_px=8, rate=0.1), Stage(epochs=1), Stage(epochs=1, side_px=24, robust_radius=0.5))
    sides = [plan.side_at(step) for step in range(plan.steps)]
    assert sorted(set(sides)) == [8, 16, 24]
    assert plan.largest_px == 24
    assert plan.batch(0)[0].side_px == 8
    assert plan.stage_at(plan.steps - 1)[1].robust_radius == 0.5


def test_a_look_depends_on_its_chance_alone(tmp_path: Path) -> None:
    listing, _ = list_pictures(pictures(tmp_path, each=2))
    shown = Pictures(listing, listing.samples, RECIPE, 24)
    before = torch.random.get_rng_state()
    looks = [shown[Draw(0, 16, chance)] for chance in (1, 1, 2)]
    assert torch.equal(before, torch.random.get_rng_state())
    views = [look[0] for look in looks if not isinstance(look, Fault)]
    assert [view.shape for view in views] == [(3, 16, 16)] * 3
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert 0 <= float(views[0].min()) <= float(views[0].max()) <= 1


def test_a_picture_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    folder = pictures(tmp_path, each=2)
    (folder / "down" / "cut.png").write_bytes(content("down", 7)[:-40])
    listing, _ = list_pictures(folder)
    shown = Pictures(listing, listing.samples, RECIPE, 24)
    looks = [shown[Draw(place, 16, None)] for place in range(len(shown))]
    stack, labels, faults = stacked(looks)
    assert (stack.shape, labels.shape) == ((6, 3, 16, 16), (6,))
    assert [(fault.name, "truncated" in fault.why) for fault in faults] == [("down/cut.png", True)]
    assert stacked(faults).labels.shape == (0,)


def test_large_pictures_are_read_small_and_upright() -> None:
    wide = Image.new("RGB", (1200, 600), "red")
    wide.paste("blue", (600, 0, 1200, 600))
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned clockwise
    buffer = io.BytesIO()
    wide.save(buffer, "JPEG", exif=exif)
    small = read_small(buffer.getvalue(), 60)
    assert small.shape == (3, 120, 60)
    assert small[0, 10].float().mean() > 200  # red is on top now
    assert small[2, 110].float().mean() > 200
    square = middle(small, 16)
    assert square.shape == (3, 16, 16)


def test_other_kinds_of_pictures_are_read_as_colours() -> None:
    for mode, form in (("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("I;16", "PNG"), ("CMYK", "JPEG")):
        buffer = io.BytesIO()
        Image.new(mode, (40, 30)).save(buffer, form)
        assert read_small(buffer.getvalue(), 20).shape == (3, 20, 27)
    with pytest.raises(BadPicture, match=r"not a picture"):
        read_small(b"nothing of the kind", 20)


def test_all_recipes_that_come_with_it_can_be_read() -> None:
    assert recipe_names() == ["dreamnet", "finetune", "painterly", "unlabelled"]
    for name in recipe_names():
        recipe = read_recipe(name)
        assert recipe.help
        assert recipe.longer(3).stages[0].epochs == 3 * recipe.stages[0].epochs
    dreamnet = read_recipe("dreamnet")
    assert (dreamnet.start, dreamnet.model) == ("random", "dreamnet")
    first, sides = 0, [stage.side_px for stage in dreamnet.stages]
    for begin in [index for index, stage in enumerate(dreamnet.stages) if index and stage.rate] + [len(sides)]:
        assert sides[first:begin] == sorted(sides[first:begin])  # pictures grow while the rate falls
        first = begin
    assert [stage.robust_radius for stage in dreamnet.stages] == [0, 0, 0, 0, 0.5, 0.5, 0.7]
    assert dreamnet.average > 0.9
    assert dreamnet.label_smoothing == 0.1


def test_recipes_can_be_changed_and_mistakes_are_named(tmp_path: Path) -> None:
    changed = read_recipe("painterly", ["batch=64", "stages.1.epochs=3", "precision=fp32"])
    assert (changed.batch, changed.stages[1].epochs, changed.precision) == (64, 3, "fp32")
    for change, said in (
        ("batch", "write KEY=VALUE"),
        ("bach=3", "Did you mean 'batch'"),
        ("batch=1", "not between 2 and"),
        ("batch=x", "'x' is no int"),
        ("stages.9.epochs=1", "the recipe has no"),
        ("stages.0.epoch=1", "Did you mean 'epochs'"),
        ("precision=fp8", "not one of auto, fp32, bf16"),
        ("stages=[]", "one table"),
        ("stages.0.rate=0", "needs a rate"),
    ):
        with pytest.raises(BadOption, match=said):
            read_recipe("finetune", [change])
    own = tmp_path / "mine.toml"
    own.write_text("help = 'mine'\n[[stages]]\nepochs = 2\nrate = 0.1\n")
    assert read_recipe(str(own)).name == "mine"
    own.write_text("help = \n")
    with pytest.raises(BadOption, match=r"cannot be read as TOML"):
        read_recipe(str(own))
    with pytest.raises(BadOption, match=r"unknown training recipe 'finetun'. Did you mean 'finetune'"):
        read_recipe("finetun")
