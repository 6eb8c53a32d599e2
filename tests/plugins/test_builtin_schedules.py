"""The built-in schedules arrange what the recipe says by the picture's size, and stay within what a recipe may say."""

from __future__ import annotations

from typing import Any

import pytest

from deepdream_engine.records import Schedule
from deepdream_plugins import RecipeBook, load_catalogue
from deepdream_plugins.options import fill
from deepdream_plugins.resolving.arranging import arranged
from deepdream_plugins.resolving.configured import Configured

CATALOGUE = load_catalogue()
SIZES = [(1, 1), (1, 20_000), (16, 16), (240, 320), (575, 1024), (4000, 6000), (30_000, 30_000)]
GIVEN = {
    "plain": Schedule(),
    "lists": Schedule(octaves=3, steps=(20, 10, 5), step_size=(3.0, 2.0, 1.0), jitter_px=(8, 16, 32)),
    "above": Schedule(octaves=3, octaves_above=2, octave_scale=4.0),
    "one": Schedule(octaves=1),
    "many": Schedule(octaves=20, octave_scale=1.01, octaves_above=19, steps=10_000, step_size=64.0),
}


def arrange(name: str, schedule: Schedule, height: int, width: int, **options: object) -> Schedule:
    owned = CATALOGUE.schedules[name]
    filled: dict[str, Any] = fill(owned.spec.options, options, lambda *keys: "test", of=name)
    return arranged(
        Configured(spec=owned.spec, owner=owned.owner, options=filled),
        schedule,
        height,
        width,
    )


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", CATALOGUE.schedules)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_comes_of_it_is_a_schedule_for_any_picture(name: str, given: str, height: int, width: int) -> None:
    result = arrange(name, GIVEN[given], height, width)  # checked by the host
    assert result.octaves > result.octaves_above


def test_pyramid_leaves_everything_as_it_is() -> None:
    assert arrange("pyramid", GIVEN["lists"], 575, 1024) == GIVEN["lists"]


def shorter(schedule: Schedule, side: int) -> float:
    """Return the shorter side of the smallest octave."""
    return side / schedule.octave_scale ** (schedule.octaves - 1 - schedule.octaves_above)


@pytest.mark.parametrize("scale", [1.1, 1.4, 2.0])
@pytest.mark.parametrize("above", [0, 2])
@pytest.mark.parametrize("side", [200, 500, 700, 1000])
def test_fit_ends_near_the_smallest_size(scale: float, above: int, side: int) -> None:
    schedule = Schedule(octaves=3, octave_scale=scale, octaves_above=above)
    result = arrange("fit", schedule, side, 3 * side, smallest_px=192)
    assert 192 / scale**0.5 <= shorter(result, side) <= 192 * scale**0.5 or result.octaves == 20
    assert result == arrange("fit", schedule, 3 * side, side, smallest_px=192)


def test_fit_has_one_octave_for_a_picture_that_is_small_already() -> None:
    assert arrange("fit", Schedule(), 100, 100).octaves == 1


def test_fit_stretches_what_is_said_of_each_octave() -> None:
    result = arrange("fit", GIVEN["lists"], 1100, 1100, smallest_px=200)
    assert result.octaves == 6
    assert result.steps == (20, 20, 10, 10, 5, 5)
    assert result.step_size == (3.0, 3.0, 2.0, 2.0, 1.0, 1.0)
    assert result.jitter_px == (8, 8, 16, 16, 32, 32)
    assert arrange("fit", Schedule(steps=7), 1100, 1100).steps == 7
    assert arrange("fit", GIVEN["lists"], 100, 100).steps == (20,)


def test_taper_multiplies_from_octave_to_octave() -> None:
    result = arrange("taper", Schedule(octaves=3, step_size=2.0, steps=20), 575, 1024, step_size=0.5, steps=0.7)
    assert result.step_size == pytest.approx((2.0, 1.0, 0.5))
    assert result.steps == (20, 14, 10)
    lists = arrange("taper", GIVEN["lists"], 575, 1024, step_size=0.5)
    assert lists.step_size == pytest.approx((3.0, 1.0, 0.25))
    assert lists.steps == (20, 10, 5)


def test_budget_makes_large_and_small_pictures_equal_work() -> None:
    schedule = Schedule(octaves=2, steps=(40, 20), step_size=1.0)
    reference = arrange("budget", schedule, 1000, 1000)
    assert (reference.steps, reference.step_size) == ((40, 20), (1.0, 1.0))
    large = arrange("budget", schedule, 2000, 2000)
    assert large.steps == (10, 5)
    assert large.step_size == pytest.approx((4.0, 4.0))
    assert arrange("budget", schedule, 2000, 2000, megapixels=4).steps == (40, 20)
    small = arrange("budget", schedule, 100, 100, most=3)
    assert small.steps == (120, 60)
    assert small.step_size == pytest.approx((1 / 3, 1 / 3))
    plain = arrange("budget", schedule, 2000, 2000, keep_strength=False)
    assert (plain.steps, plain.step_size) == ((10, 5), 1.0)


def test_a_recipe_names_a_schedule_and_each_picture_gets_its_own() -> None:
    import torch

    table = {"schedule": {"name": "fit", "smallest_px": 64}, "prefilters": []}
    recipe = RecipeBook(CATALOGUE).resolve("classic", [(table, lambda *keys: "test")])
    octaves = [recipe.job(torch.rand(3, side, side), seed=1).schedule.octaves for side in (64, 200, 400)]
    assert octaves == sorted(set(octaves))
    assert octaves[0] == 1
