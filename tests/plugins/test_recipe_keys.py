"""The keys of a recipe's schedule and of its way up: lists per octave, choices, bounds, and how layers meet."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from deepdream_engine.errors import BadOption
from deepdream_engine.records import Schedule
from deepdream_plugins import Catalogue, RecipeBook
from deepdream_plugins.recipes import parse_set
from deepdream_plugins.toml_source import TomlSource


def book_of(catalogue: Catalogue, text: str) -> RecipeBook:
    source = TomlSource.parse(dedent(text), "config.toml")
    return RecipeBook(catalogue, source.data["recipes"], source.where)


def schedule(catalogue: Catalogue, text: str, name: str = "x") -> Schedule:
    return book_of(catalogue, text).resolve(name).schedule


def at(*keys: object) -> str:
    return f"override {'.'.join(map(str, keys))}"


def test_every_key_reaches_the_engines_schedule(catalogue: Catalogue) -> None:
    assert schedule(
        catalogue,
        """
        [recipes.x]
        octaves = 3
        octave_scale = 2
        octaves_above = 1
        steps = [10, 20, 30]
        step_size = [1, 1.5, 2]
        jitter = 8
        margin = 4
        repeats = 2
        carry = "picture"
        carry_blend = 0.2
        lock = "mean+contrast"
        stop_score = 15
        """,
    ) == Schedule(
        octaves=3,
        octave_scale=2.0,
        octaves_above=1,
        steps=(10, 20, 30),
        step_size=(1.0, 1.5, 2.0),
        jitter_px=8,
        margin_px=4,
        repeats=2,
        carry="picture",
        carry_blend=0.2,
        lock="mean+contrast",
        stop_score=15.0,
    )


def test_what_is_absent_is_the_engines_default(catalogue: Catalogue) -> None:
    recipe = book_of(catalogue, "[recipes.x]\n").resolve("x")
    assert recipe.schedule == Schedule()
    assert (recipe.canvas, recipe.mask, recipe.balance, recipe.precision) == ("pixels", "", True, "fp32")
    assert (recipe.ascent.spec.name, recipe.transforms) == ("mean_abs", ())
    assert "stop_score" not in recipe.to_dict()


def test_a_list_says_how_many_octaves_there_are(catalogue: Catalogue) -> None:
    text = """
        [recipes.base]
        octaves = 6
        [recipes.x]
        base = "base"
        steps = [1, 2]
        [recipes.y]
        base = "x"
        octaves = 2
        [recipes.z]
        base = "x"
        octaves = 5
        steps = 3
        [recipes.one]
        jitter = [4]
    """
    assert schedule(catalogue, text).octaves == 2
    assert schedule(catalogue, text, "y").octaves == 2
    assert schedule(catalogue, text, "z").steps == 3
    assert schedule(catalogue, text, "z").octaves == 5
    assert (schedule(catalogue, text, "one").octaves, schedule(catalogue, text, "one").jitter_px) == (1, (4,))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("octaves = 3\nsteps = [1, 2]", "c:4: recipes.x.steps: steps has 2 values, but octaves is 3; give one value"),
        ("steps = [1, 2]\njitter = [1, 2, 3]", "c:4: recipes.x.jitter: jitter has 3 values, but steps has 2; give"),
        ("steps = []", "recipes.x.steps: the list is empty"),
        ("steps = [\n1,\n0]", "c:5: recipes.x.steps[1]: 0 is not an integer from 1 to 10000."),
        ("steps = [1, 2.5]", "steps[1]: 2.5 is not an integer"),
        ("step_size = [1, 'a']", "step_size[1]: 'a' is not a number from 0.001 to 64."),
        (f"jitter = {[1] * 21}", "jitter has 21 values, but there are at most 20 octaves"),
        ("octaves = [1, 2]", "[1, 2] is not an integer from 1 to 20. Give one value, without brackets."),
        ("margin = [1, 2]", "margin: [1, 2] is not an integer"),
        ("octaves_above = 4", "octaves_above: 4 octaves above the picture's size leave none of the 4 for the picture"),
        ("octaves_above = -1", "-1 is not an integer from 0 to 19"),
        ("repeats = 0", "0 is not an integer from 1 to 100"),
        ("carry = 'details'", "'details' is not one of detail, picture. Did you mean 'detail'?"),
        ("carry_blend = 1.1", "1.1 is not a number from 0 to 1"),
        ("lock = 'colour'", "'colour' is not one of none, mean, mean+contrast, histogram"),
        ("stop_score = 'high'", "'high' is not a number"),
        ("canvas = 'pixel'", "'pixel' is not one of pixels, fourier. Did you mean 'pixels'?"),
        ("balance = 1", "1 is not true or false"),
        ("ascent = 'adm'", "recipes.x.ascent: unknown ascent 'adm'. Did you mean 'adam'?"),
        ("ascent = 3", "recipes.x.ascent: 3 is not a name, or a table with a name."),
        ("ascent = { name = 'mean_abs', speed = 1 }", "ascent.speed: unknown option of ascent 'mean_abs' 'speed'"),
        ("transforms = 3", "recipes.x.transforms: 3 is not a list"),
        ("transforms = 'pda'", "recipes.x.transforms: unknown transform 'pda'. Did you mean 'pad'?"),
        ("transforms = { name = 'pad', pixels = -4 }", "recipes.x.transforms.pixels: -4 is not an integer"),
        ("transforms = ['pda']", "recipes.x.transforms[0]: unknown transform 'pda'. Did you mean 'pad'?"),
        ("transforms = [{ pixels = 4 }]", "transforms[0].name: a name is missing"),
        ("transforms = [{ name = 'pad', pixels = -4 }]", "transforms[0].pixels: -4 is not an integer"),
    ],
)
def test_a_mistake_is_named_with_its_place(catalogue: Catalogue, table: str, said: str) -> None:
    source = TomlSource.parse(f"\n[recipes.x]\n{table}\n", "c")
    with pytest.raises(BadOption) as caught:
        RecipeBook(catalogue, source.data["recipes"], source.where).resolve("x")
    assert said in str(caught.value)
    assert str(caught.value).startswith("c:")


def test_the_newer_of_octaves_and_lists_is_blamed_for_what_an_older_list_contradicts(catalogue: Catalogue) -> None:
    text = """
        [recipes.base]
        steps = [1, 2]
        [recipes.octaves]
        base = "base"
        octaves = 5
        [recipes.list]
        base = "base"
        jitter = [1, 2, 3]
    """
    for name, said in (
        (
            "octaves",
            "config.toml:6: recipes.octaves.octaves: octaves is 5, but steps has 2 (config.toml:3: recipes.",
        ),
        (
            "list",
            "config.toml:9: recipes.list.jitter: jitter has 3 values, but steps has 2 (config.toml:3: recipes.",
        ),
    ):
        with pytest.raises(BadOption) as caught:
            schedule(catalogue, text, name)
        assert str(caught.value).startswith(said)


@pytest.mark.parametrize("settings", [["octaves=3", "steps=[1, 2]"], ["steps=[1, 2]", "octaves=3"]])
def test_settings_of_one_command_line_that_contradict_each_other_are_named(
    catalogue: Catalogue, settings: list[str]
) -> None:
    with pytest.raises(BadOption, match=r"^override steps: steps has 2 values, but octaves is 3; give one value for"):
        RecipeBook(catalogue).resolve("classic", [(parse_set(text), at) for text in settings])


def test_a_single_transform_or_filter_needs_no_brackets(catalogue: Catalogue) -> None:
    recipe = book_of(
        catalogue, "[recipes.x]\ntransforms = 'rotate'\npostfilters = { name = 'sharpen', radius = 1 }\n"
    ).resolve("x")
    assert [each.spec.name for each in (*recipe.transforms, *recipe.postfilters)] == ["rotate", "sharpen"]


def test_ascent_and_transforms_are_laid_over_like_objective_and_filters(catalogue: Catalogue) -> None:
    text = """
        [recipes.one]
        ascent = { name = "adam", beta1 = 0.5 }
        transforms = ["pad", { name = "jitter", pixels = 3 }]
        [recipes.two]
        base = "one"
        ascent.beta2 = 0.9
        transforms = ["rotate"]
        [recipes.three]
        base = "two"
        ascent = "std"
    """
    book = book_of(catalogue, text)
    assert [each.spec.name for each in book.resolve("one").transforms] == ["pad", "jitter"]
    assert book.resolve("one").transforms[1].options["pixels"] == 3
    two = book.resolve("two")
    assert (two.ascent.options["beta1"], two.ascent.options["beta2"]) == (0.5, 0.9)
    assert [each.spec.name for each in two.transforms] == ["rotate"]
    assert "beta1" not in book.resolve("three").ascent.options


def test_every_key_survives_being_embedded_and_changes_the_fingerprint(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    changes: list[dict[str, Any]] = [
        {"octaves_above": 1},
        {"steps": [1, 2, 3]},
        {"step_size": [1.0, 2.0, 3.0]},
        {"jitter": [1, 2, 3]},
        {"repeats": 2},
        {"carry": "picture"},
        {"carry_blend": 0.5},
        {"lock": "mean"},
        {"stop_score": 3},
        {"canvas": "fourier"},
        {"balance": False},
        {"ascent": "std"},
        {"ascent": {"name": "smooth", "factors": [1.0, 2.0]}},
        {"transforms": ["pad"]},
        {"objective": "-l2"},
        {"objective": "l2 - 0.5 * mean"},
        {"objective": "l2 - 0.25 * mean"},
        {"objective": "2.5 * l2 - 3 * mean"},
        {"objective": "many - mean", "terms": {"many": {"name": "channels", "channels": [1, 2]}}},
    ]
    prints = {book.resolve("classic").fingerprint()}
    for change in changes:
        recipe = book.resolve("classic", [(change, at)])
        again = book.from_dict(json.loads(json.dumps(recipe.to_dict())))
        assert again == recipe, change
        assert again.fingerprint() == recipe.fingerprint()
        prints.add(recipe.fingerprint())
    assert len(prints) == len(changes) + 1
