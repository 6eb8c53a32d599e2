"""Recipes inherit, merge and are checked to the last value; every error names the line to mend."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins import Catalogue, RecipeBook, load_catalogue
from deepdream_plugins.recipes import parse_set
from deepdream_plugins.toml_source import TomlSource


def book_of(catalogue: Catalogue, text: str, base_dir: Path | None = None) -> RecipeBook:
    source = TomlSource.parse(dedent(text), "config.toml")
    return RecipeBook(catalogue, source.data["recipes"], source.where, base_dir=base_dir)


def at(*keys: object) -> str:
    return f"override {'.'.join(map(str, keys))}"


def test_every_built_in_recipe_resolves_and_says_what_it_is_for() -> None:
    book = RecipeBook(load_catalogue())
    assert book.names[0] == "classic"
    assert {"edges", "textures", "weave", "palaces", "herds", "deep", "google"} <= set(book.names)
    assert book.check() == {}
    for name in book.names:
        assert len(book.describe(name)) > 10
        assert book.owner(name) == "built-in"


def test_the_google_recipe_is_what_google_published() -> None:
    google = RecipeBook(load_catalogue()).resolve("google")
    assert google.to_dict() == {
        "name": "google",
        "model": {"name": "googlenet"},
        "objective": {"name": "l2", "layer": "inception4c"},
        "balance": True,
        "ascent": {"name": "mean_abs"},
        "transforms": [],
        "canvas": "pixels",
        "octaves": 4,
        "octave_scale": 1.4,
        "octaves_above": 0,
        "steps": 10,
        "step_size": 1.5,
        "jitter": 32,
        "margin": 0,
        "repeats": 1,
        "carry": "detail",
        "carry_blend": 0.0,
        "lock": "none",
        "mask": "",
        "schedule": {"name": "pyramid"},
        "precision": "fp32",
        "prefilters": [],
        "postfilters": [],
        "output": {"format": "same", "quality": 92},
    }


def test_a_recipe_overlays_its_base_key_by_key(catalogue: Catalogue) -> None:
    book = book_of(
        catalogue,
        """
        [recipes.one]
        model = "toy"
        octaves = 3
        prefilters = ["resize"]
        postfilters = ["sharpen", { name = "blend", amount = 0.2 }]
        objective = { name = "channel", layer = "bottom", channel = 2 }
        output = { format = "png", quality = 50 }
        [recipes.two]
        base = "one"
        octave_scale = 2
        postfilters = ["vignette"]
        objective.channel = 3
        output.quality = 60
        [recipes.three]
        base = "two"
        objective = "l2"
        """,
    )
    two = book.resolve("two")
    assert (two.name, two.schedule.octaves, two.schedule.octave_scale, two.schedule.steps) == ("two", 3, 2.0, 10)
    assert two.terms[0].objective.options == {"layer": "bottom", "channel": 3}
    assert [(f.spec.name, f.owner) for f in two.postfilters] == [("vignette", "filters")]
    assert [f.options for f in two.prefilters] == [{"longest_side": 1280, "scale": 1.0}]
    assert (two.output.format, two.output.quality) == ("png", 60)
    three = book.resolve("three")  # another objective starts afresh, at the model's default tap
    assert (three.terms[0].objective.spec.name, three.terms[0].objective.options) == ("l2", {"layer": "0"})
    assert book.describe("two") == "like one, with its own octave_scale, postfilters, objective, output"
    assert book.owner("two") == "config.toml:9"


def test_another_model_forgets_the_tap_of_the_former(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    toy = book.resolve("classic", [(parse_set("model=toy"), at)])
    assert toy.terms[0].objective.options == {"layer": "0"}
    kept = book.resolve("google", [(parse_set("model=googlenet"), at)])
    assert kept.terms[0].objective.options == {"layer": "inception4c"}
    side = [({"objective": {"layer": "bottom"}}, lambda *_: "side file"), (parse_set("model=untold"), at)]
    assert book.resolve("classic", side).terms[0].objective.options == {"layer": "0"}
    with pytest.raises(BadOption, match=r"override objective.layer: unknown tap 'mixed4c' of model 'toy'"):
        book.resolve("classic", [({"model": "toy", "objective": {"layer": "mixed4c"}}, at)])


@pytest.mark.parametrize("turned", [False, True])
def test_the_settings_of_one_command_line_are_one_layer_in_any_order(
    catalogue: Catalogue, tmp_path: Path, turned: bool
) -> None:
    (tmp_path / "w.pt").touch()
    book = RecipeBook(catalogue, base_dir=tmp_path)
    settings = ["model.weights=w.pt", "model.name=toy", "objective.layer=bottom", "objective.name=mean"]
    recipe = book.resolve("classic", [(parse_set(text), at) for text in (settings[::-1] if turned else settings)])
    assert (recipe.model.spec.name, recipe.weights) == ("toy", tmp_path / "w.pt")
    assert [(term.objective.spec.name, term.objective.options) for term in recipe.terms] == [
        ("mean", {"layer": "bottom"})
    ]


def test_a_name_said_twice_on_one_command_line_starts_afresh(catalogue: Catalogue) -> None:
    settings = ["objective={ name = 'channel', channel = 3 }", "objective=mean"]
    recipe = RecipeBook(catalogue).resolve("classic", [(parse_set(text), at) for text in settings])
    assert [term.objective.spec.name for term in recipe.terms] == ["mean"]


def test_the_users_recipe_may_extend_the_built_in_one_of_its_name(catalogue: Catalogue) -> None:
    book = book_of(catalogue, '[recipes.classic]\nbase = "classic"\noctaves = 2\n')
    assert book.resolve("classic").schedule.octaves == 2
    assert book.resolve("classic").prefilters == RecipeBook(catalogue).resolve("classic").prefilters
    assert book.resolve("weave").schedule.octaves == 2
    assert book.owner("classic") == "config.toml:1"


def test_an_override_may_choose_another_recipe(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    overrides = [({"octaves": 9}, at), ({"base": "edges", "steps": 3}, at), ({"seed": 7}, at)]
    recipe = book.resolve("classic", overrides)
    assert (recipe.name, recipe.schedule.octaves, recipe.schedule.steps, recipe.seed) == ("edges", 9, 3, 7)
    with pytest.raises(BadOption, match=r"override base: unknown recipe 'edge'. Did you mean 'edges'"):
        book.resolve("classic", [({"base": "edge"}, at)])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("octavs = 3", "recipes.x.octavs: unknown recipe option 'octavs'. Did you mean 'octaves'?"),
        ("octaves = 0", "config.toml:3: recipes.x.octaves: 0 is not an integer from 1 to 20."),
        ("octaves = true", "true is not an integer"),
        ("octave_scale = 1", "1 is not a number from 1.01 to 4"),
        ("step_size = nan", "nan is not a number"),
        ("precision = 'fp16'", "'fp16' is not one of fp32, tf32, bf16, fp64."),
        ("seed = -1", "recipes.x.seed: -1 is not an integer from 0"),
        ("help = 3", "recipes.x.help: 3 is not a string"),
        ("base = 'clasic'", "recipes.x.base: unknown recipe 'clasic'. Did you mean 'classic'?"),
        ("base = 3", "recipes.x.base: unknown recipe '3'."),
        ("base = 'x'", "config.toml:3: recipes.x.base: recipes inherit in a circle: x -> x"),
        ("model = 'toi'", "recipes.x.model: unknown model 'toi'. Did you mean 'toy'?"),
        ("model = 3", "recipes.x.model: 3 is not a name, or a table with a name."),
        ("model = { name = 3 }", "recipes.x.model.name: 3 is not a name."),
        ("model = { name = 'toy', wieghts = 'a' }", "recipes.x.model.wieghts: unknown option of model 'toy'"),
        ("model = { name = 'toy', weights = 'a.pt' }", "recipes.x.model.weights: 'a.pt': there is no file /"),
        ("objective = 'l3'", "recipes.x.objective: unknown objective 'l3'. Did you mean 'l2'?"),
        ("objective = { layr = 'bottom' }", "objective.layr: unknown option of objective 'l2' 'layr'."),
        ("objective.layer = 'botom'", "tap 'botom' of model 'toy'. Did you mean 'bottom'? Valid: bottom, 0."),
        ("objective = 'channel'", "recipes.x.objective: objective 'channel' needs the option 'channel'"),
        ("objective = { name = 'channel', channel = -1 }", "-1 is not an integer, at least 0"),
        ("postfilters = 3", "recipes.x.postfilters: 3 is not a list"),
        ("postfilters = 'sharpn'", "recipes.x.postfilters: unknown post-filter 'sharpn'. Did you mean 'sharpen'?"),
        ("postfilters = ['sharpn']", "postfilters[0]: unknown post-filter 'sharpn'. Did you mean 'sharpen'?"),
        ("postfilters = [\n'blend',\n{ amount = 1 }]", ":5: recipes.x.postfilters[1].name: a name is miss"),
        ("postfilters = [{ name = 'blend', amount = 2 }]", "[0].amount: 2 is not a number from 0 to 1."),
        ("postfilters = [3]", "recipes.x.postfilters[0]: 3 is not a name, or a table"),
        ("prefilters = ['blend']", "unknown pre-filter 'blend'"),
        ("output = 'png'", "recipes.x.output: 'png' is not a table."),
        ("output.format = 'jpg'", "output.format: 'jpg' is not one of same, jpeg, png, webp, tiff"),
        ("output.name = 'a'", "recipes.x.output.name: unknown option of output 'name'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_its_cure(catalogue: Catalogue, table: str, said: str) -> None:
    text = "" if "model" in table else "model = 'toy'"
    book = book_of(catalogue, f"[recipes.x]\n{text}\n{table}\n")
    with pytest.raises(BadOption) as caught:
        book.resolve("x")
    assert said in str(caught.value)
    assert str(caught.value).startswith("config.toml:")
    assert set(book.check()) == {"x"}


def test_a_circle_of_recipes_is_shown(catalogue: Catalogue) -> None:
    book = book_of(catalogue, "recipes = { a = { base = 'b' }, b = { base = 'c' }, c = { base = 'b' } }")
    with pytest.raises(BadOption, match="a -> b -> c -> b"):
        book.resolve("a")


@pytest.mark.parametrize("name", ["a/b", "..", "", ".x", "a b", "-a"])
def test_a_recipe_name_must_suit_a_file_name(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(BadOption, match="cannot name a recipe"):
        RecipeBook(catalogue, {name: {}})


def test_an_unknown_recipe_gets_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(BadOption, match=r"unknown recipe 'clasic'. Did you mean 'classic'"):
        RecipeBook(catalogue).resolve("clasic")


def test_another_base_keeps_what_was_overridden_before_it(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    changes = ["octaves=1", "objective.layer=conv2", "base=edges", "base=deep", "steps=1"]
    recipe = book.resolve("classic", [(parse_set(change), at) for change in changes])
    assert (recipe.name, recipe.schedule.octaves, recipe.schedule.steps) == ("deep", 1, 1)
    assert recipe.terms[0].objective.options["layer"] == "conv2"
    assert recipe.schedule.octave_scale == book.resolve("deep").schedule.octave_scale
    with pytest.raises(BadOption, match=r"override base: unknown recipe 'edgs'"):
        book.resolve("classic", [({"base": "edgs"}, at), ({"base": "deep"}, at)])


def test_weights_are_relative_to_the_configuration(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"x")
    book = book_of(catalogue, "[recipes.x]\nmodel = { name = 'toy', weights = 'mine.pt' }", tmp_path)
    recipe = book.resolve("x")
    assert recipe.weights == tmp_path / "mine.pt"
    key = recipe.program().network.key
    assert key == recipe.program().network.key
    (tmp_path / "mine.pt").write_bytes(b"another")
    assert key != recipe.program().network.key, "weights that were replaced are loaded anew"
    assert book.from_dict(recipe.to_dict()) == recipe
    assert book.resolve("x", [({"model": "untold"}, at)]).weights is None
    assert book.resolve("x", [({"model": "toy"}, at)]).weights == recipe.weights


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("octaves=6", {"octaves": 6}),
        ("octave_scale = 1.5", {"octave_scale": 1.5}),
        ("objective.layer=mixed4b", {"objective": {"layer": "mixed4b"}}),
        ("objective.layer='mixed4b'", {"objective": {"layer": "mixed4b"}}),
        ("objective.layer=inception_4c/output", {"objective": {"layer": "inception_4c/output"}}),
        ("a.b.c= two words", {"a": {"b": {"c": "two words"}}}),
        ('postfilters=["sharpen"]', {"postfilters": ["sharpen"]}),
        ("prefilters=[]", {"prefilters": []}),
        ("model=", {"model": ""}),
    ],
)
def test_set_reads_its_value_as_toml_or_as_a_string(text: str, expected: dict[str, Any]) -> None:
    assert parse_set(text) == expected


@pytest.mark.parametrize("text", ["octaves", "=3", "a..b=3", "a=1\nb=2", ""])
def test_set_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="is not KEY=VALUE"):
        parse_set(text)


def test_a_recipe_survives_being_embedded(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    for overrides in ([], [({"seed": 3, "postfilters": ["sharpen"], "octave_scale": 2}, at)]):
        recipe = book.resolve("classic", overrides)
        again = book.from_dict(json.loads(json.dumps(recipe.to_dict())))
        assert again == recipe
        assert again.fingerprint() == recipe.fingerprint()
        assert hash(again) == hash(recipe)


@pytest.mark.parametrize("data", [{}, {"name": "../x"}, {"name": "x", "base": "classic"}, {"name": "x", "evil": 1}])
def test_an_embedded_recipe_is_checked_like_any_other(catalogue: Catalogue, data: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="embedded recipe"):
        RecipeBook(catalogue).from_dict(data)


def test_the_fingerprint_knows_every_value_but_neither_help_nor_order(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    table = {"model": "toy", "octaves": 3, "objective": {"name": "l2", "layer": "bottom"}, "help": "one"}
    turned: dict[str, Any] = dict(reversed(table.items())) | {
        "help": "two",
        "objective": {"layer": "bottom", "name": "l2"},
    }
    first = book.resolve("classic", [(table, at)]).fingerprint()
    assert book.resolve("classic", [(turned, at)]).fingerprint() == first
    changes = [
        "octaves=4", "octave_scale=2", "steps=1", "step_size=1", "jitter=0", "seed=1", "precision='bf16'",
        "prefilters=[]", "postfilters=['blend']", "output.quality=1", "objective.layer='0'", "model='untold'",
        "objective='mean'",
    ]  # fmt: skip
    prints = {book.resolve("classic", [(table, at), (parse_set(c), at)]).fingerprint() for c in changes}
    assert len(prints | {first}) == len(changes) + 1


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = """
        import deepdream_plugins as d
        print(d.RecipeBook(d.load_catalogue()).resolve("classic").fingerprint())
    """
    environment = {"PYTHONPATH": ":".join(sys.path)}
    prints = {
        subprocess.run(
            [sys.executable, "-c", dedent(code)],
            check=True,
            capture_output=True,
            env=environment | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1
