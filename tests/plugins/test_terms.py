"""What is maximised: a name, a table or an expression of terms, inherited, merged, and checked with places."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from deepdream_engine.errors import BadOption, UnknownTap
from deepdream_plugins import Catalogue, RecipeBook, ResolvedRecipe
from deepdream_plugins.recipes import parse_set
from deepdream_plugins.toml_source import TomlSource

SUM = """
    [recipes.sum]
    model = "toy"
    objective = "eyes - 0.5 * stripes + 0.1 * l2(layer = 'bottom') - 0.2 * tv"
    [recipes.sum.terms]
    eyes = { name = "channel", layer = "bottom", channel = 2 }
    stripes = "l2"
    unused = "mean"
"""


def resolve(catalogue: Catalogue, text: str, name: str = "x", base_dir: Path | None = None) -> ResolvedRecipe:
    source = TomlSource.parse(dedent(SUM) + dedent(text), "c")
    return RecipeBook(catalogue, source.data["recipes"], source.where, base_dir=base_dir).resolve(name)


def at(*keys: object) -> str:
    return f"override {'.'.join(map(str, keys))}"


def said(recipe: ResolvedRecipe) -> list[tuple[str, float, str, dict[str, object]]]:
    return [(term.label, term.factor, term.objective.spec.name, dict(term.objective.options)) for term in recipe.terms]


def test_an_expression_names_terms_and_objectives(catalogue: Catalogue) -> None:
    recipe = resolve(catalogue, "", "sum")
    assert said(recipe) == [
        ("eyes", 1, "channel", {"layer": "bottom", "channel": 2}),
        ("stripes", -0.5, "l2", {"layer": "0"}),
        ("l2", 0.1, "l2", {"layer": "bottom"}),
        ("tv", -0.2, "tv", {}),
    ]
    data = recipe.to_dict()
    assert data["objective"] == "eyes - 0.5 * stripes + 0.1 * l2 - 0.2 * tv"
    assert list(data["terms"]) == ["eyes", "stripes", "l2", "tv"]


@pytest.mark.parametrize(
    "objective",
    ["'eyes'", "' eyes '", "{ name = 'eyes' }", "'2 * eyes - eyes'", "'channel(layer=\\'bottom\\', channel=2)'"],
)
def test_one_term_without_a_factor_is_the_plain_objective(catalogue: Catalogue, objective: str) -> None:
    text = objective.replace("'channel(", '"channel(').replace(")'", ')"').replace("\\'", "'")
    recipe = resolve(catalogue, f"[recipes.x]\nbase = 'sum'\nobjective = {text}")
    plain = resolve(
        catalogue, "[recipes.x]\nmodel = 'toy'\nobjective = { name = 'channel', layer = 'bottom', channel = 2 }"
    )
    assert said(recipe) == [("", 1, "channel", {"layer": "bottom", "channel": 2})]
    assert recipe == plain
    assert recipe.program() == plain.program()


def test_a_term_comes_before_an_objective_of_its_name(catalogue: Catalogue) -> None:
    text = """
        [recipes.x]
        model = "toy"
        objective = "l2 + l2(layer = '0')"
        terms.l2 = { name = "mean", layer = "bottom" }
    """
    assert said(resolve(catalogue, text)) == [
        ("l2", 1, "mean", {"layer": "bottom"}),
        ("l2_2", 1, "l2", {"layer": "0"}),
    ]


def test_terms_are_merged_by_name(catalogue: Catalogue) -> None:
    text = """
        [recipes.x]
        base = "sum"
        terms.eyes.channel = 3
        terms.stripes = { name = "mean", layer = "bottom" }
        [recipes.y]
        base = "x"
        objective = "eyes + mean"
    """
    assert said(resolve(catalogue, text))[:2] == [
        ("eyes", 1, "channel", {"layer": "bottom", "channel": 3}),
        ("stripes", -0.5, "mean", {"layer": "bottom"}),
    ]
    assert [term[:2] for term in said(resolve(catalogue, text, "y"))] == [("eyes", 1), ("mean", 1)]


def test_another_objective_leaves_inherited_terms_aside(catalogue: Catalogue) -> None:
    assert said(resolve(catalogue, "[recipes.x]\nbase = 'sum'\nobjective = 'mean'")) == [
        ("", 1, "mean", {"layer": "0"})
    ]


def test_another_model_forgets_the_taps_of_the_former_in_terms_too(catalogue: Catalogue) -> None:
    recipe = resolve(catalogue, "[recipes.x]\nbase = 'sum'\nmodel = 'untold'")
    assert [term.objective.options.get("layer") for term in recipe.terms] == ["0", "0", "0", None]


def test_an_override_may_be_an_expression(catalogue: Catalogue) -> None:
    book = RecipeBook(catalogue)
    recipe = book.resolve("classic", [(parse_set("objective=l2(layer='mixed3a') - mean"), at)])
    assert [(term.label, term.factor) for term in recipe.terms] == [("l2", 1), ("mean", -1)]


def test_classes_are_resolved_to_numbers(catalogue: Catalogue) -> None:
    text = "[recipes.x]\nobjective = \"class_logit(label = 'goldfish') - class_logit(label = 1)\""
    recipe = resolve(catalogue, text)
    assert [term.objective.options["label"] for term in recipe.terms] == [0, 1]
    assert recipe.to_dict()["terms"]["class_logit"]["label"] == 0
    assert recipe.program().objective.taps == ("logits",)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("objective = 'eyes - strips'\nterms.eyes = 'l2'\nterms.stripes = 'l2'",
         "c:11: recipes.x.objective: column 8: unknown term or objective 'strips'. Did you mean 'stripes'?"),
        ("objective = 'l3'", "c:11: recipes.x.objective: unknown objective 'l3'. Did you mean 'l2'?"),
        ("objective = 'eye'\nterms.eyes = 'l2'", "unknown objective 'eye'."),
        ("objective = 'eye'\nterms.eyes = 'l2'", "terms table, then among the objectives. Terms: eyes."),
        ("objective = 'l3'", "then among the objectives. Terms: none."),
        ("objective = 'l2 - l3'", "Names are looked up in the recipe's terms table, then among the objectives."),
        ("objective = \"l2(name = 'mean')\"", "c:11: recipes.x.objective: column 1: l2.name: 'l2' is the name already"),
        ("objective = 'l2(channel = 3)'", "unknown option of objective 'l2' 'channel'. Valid: layer, mask."),
        ("objective = { name = 'l2', channel = 3 }", "'channel'. Valid: layer, name, mask."),
        ("objective = 'pull_l2'", "c:11: recipes.x.objective: pull_l2 alone has no effect: at the source itself"),
        ("objective = '2 * pull_l1 - pull_l2'", "pull_l1 alone has no effect"),
        ("mask = '/'", "c:11: recipes.x.mask: '/' is a folder; name a file in it."),
        ("objective = ''", "recipes.x.objective: '', column 1: it is empty."),
        ("objective = 'l2 *'", "recipes.x.objective: 'l2 *', column "),
        ("objective = \"l2(layr = '0')\"", "objective: column 1: l2.layr: unknown option of objective 'l2' 'layr'"),
        ("objective = \"mean + l2(layer = 'bo')\"", "column 8: l2.layer: unknown tap 'bo' of model 'toy'"),
        ("objective = 'mean + channel'", "objective 'channel' needs the option 'channel'"),
        ("objective = 'channels(channels = [1, -1])'", "column 1: channels.channels[1]: -1 is not an integer"),
        ("objective = 'eyes(channel = 3)'\nterms.eyes = 'l2'", "'eyes' is a term, which takes no options here; put"),
        ("terms.eyes = 'l2'", "c:11: recipes.x.terms.eyes: the objective, 'l2', uses none of the terms eyes; write"),
        ("objective = 'mean - l2'\nterms.eyes = 'l2'", "uses none of the terms eyes"),
        ("objective = 'a'\nterms.a = {}", "c:12: recipes.x.terms.a: a name is missing."),
        ("objective = 'a'\nterms.a.layer = '0'", "recipes.x.terms.a: a name is missing."),
        ("objective = 'a'\nterms.a = 'l3'", "recipes.x.terms.a: unknown objective 'l3'"),
        ("objective = 'a - l2'\nterms.a = { name = 'channel', channel = 'x' }", "c:12: recipes.x.terms.a.channel: 'x'"),
        ("objective = 'a'\nterms.a = 3", "recipes.x.terms.a: 3 is not a name, or a table with a name."),
        ("objective = 'a'\nterms = 3", "recipes.x.terms: 3 is not a table."),
        ("objective = 'a'\nterms.'b-c' = 'l2'", "'b-c' cannot name a term"),
        ("objective = 'a'\nterms.is = 'l2'", "'is' cannot name a term"),
        ("objective = 'a'\nterms.a = { name = 'l2', mask = 3 }", "terms.a.mask: 3 is not a picture (the path"),
        ("objective = 'a'\nterms.a = { name = 'l2', mask = 'm.png' }", "terms.a.mask: 'm.png': there is no file /"),
        ("objective = { name = 'guide', guide = 'g.jpg' }", "recipes.x.objective.guide: 'g.jpg': there is no file"),
        ("mask = '~nobody-of-this-name/m.png'", "mask: '~nobody-of-this-name/m.png': Could not"),
        ("mask = '/no/such/folder/m.png'", "there is no file /no/such/folder/m.png."),
        ("mask = 'm.png'", "c:11: recipes.x.mask: 'm.png': there is no file /"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_its_cure(catalogue: Catalogue, table: str, message: str) -> None:
    with pytest.raises(BadOption) as caught:
        resolve(catalogue, f"[recipes.x]\nmodel = 'toy'\n{table}")
    assert message in str(caught.value)
    assert str(caught.value).startswith("c:")


@pytest.mark.parametrize("objective", ["eyes - l2", "l2 - mean"])
def test_an_option_laid_over_an_expression_is_told_where_to_go(catalogue: Catalogue, objective: str) -> None:
    text = f"[recipes.y]\nbase = 'sum'\nobjective = '{objective}'\n[recipes.x]\nbase = 'y'\nobjective.layer = '0'"
    with pytest.raises(BadOption) as caught:
        resolve(catalogue, text)
    assert str(caught.value).startswith(
        f"c:14: recipes.x.objective.layer: the objective is the expression '{objective}'"
    )
    assert ("terms.eyes.layer = …" if "eyes" in objective else "l2(layer = …)") in str(caught.value)


@pytest.mark.parametrize(
    ("objective", "option", "said"),
    [
        ("l2 - guide", "guide = 'g.jpg'", "into the brackets of an objective: guide(guide = …)."),
        ("l2 - mean", "guide = 'g.jpg'", "none of its terms has such an option."),
        ("l2 - eyes", "channel = 2", "put it into terms.eyes.channel = …."),
        ("eyes", "channel = 2", "the objective is the term 'eyes' of the terms table, and an option 'channel' beside"),
    ],
)
def test_an_option_beside_an_expression_belongs_to_the_objective_that_has_it(
    catalogue: Catalogue, objective: str, option: str, said: str
) -> None:
    with pytest.raises(BadOption) as caught:
        resolve(catalogue, f"[recipes.x]\nbase = 'sum'\nobjective = {{ name = '{objective}', {option} }}")
    assert said in str(caught.value)


def test_a_term_that_hides_an_objective_is_told_of(catalogue: Catalogue) -> None:
    text = "[recipes.x]\nobjective = { name = 'l2', layer = '0' }\nterms.l2 = 'mean'"
    with pytest.raises(BadOption, match="is the term 'l2' of the terms table, which hides the objective of that name"):
        resolve(catalogue, text)


@pytest.mark.parametrize("objective", ["l2 + 0.5 * pull_l2", "pull_l1 + tv"])
def test_what_has_no_gradient_at_the_source_is_added_to_something(catalogue: Catalogue, objective: str) -> None:
    assert len(resolve(catalogue, f"[recipes.x]\nobjective = '{objective}'").terms) == 2


@pytest.mark.parametrize("objective", ["class_logit", "l2 + class_probability"])
def test_a_layer_of_another_width_than_the_classes_is_refused(catalogue: Catalogue, objective: str) -> None:
    text = f"[recipes.x]\nobjective = \"{objective}(label = 'goldfish', layer = 'logits')\""
    made = resolve(catalogue, text).program().objective
    label = "" if objective == "class_logit" else "class_probability."
    assert made.check is not None
    options = {**made.static, f"{label}label": 0}
    shapes = dict.fromkeys(made.taps, (1, 200))
    made.check(shapes, options)
    with pytest.raises(BadOption, match=rf"^{label}layer 'logits' has 512 values, and the model 200 classes, so they"):
        made.check({**shapes, "logits": (1, 512)}, options)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BadOption("eyes.channel 9: too many"), "c:6: recipes.sum.terms.eyes.channel: channel 9: too many"),
        (BadOption("stripes.layer 'x' is odd"), "c:7: recipes.sum.terms.stripes: layer 'x' is odd"),
        (BadOption("eyes.mask: no places"), "c:6: recipes.sum.terms.eyes: mask: no places"),
        (BadOption("stripes: it cannot be balanced"), "c:7: recipes.sum.terms.stripes: stripes: it cannot be balanced"),
        (UnknownTap("no layer 'bottom'", "bottom"), "c:6: recipes.sum.terms.eyes.layer: no layer 'bottom'"),
        (BadOption("objective at bottom: zero"), "c:4: recipes.sum.objective: objective at bottom: zero"),
        (BadOption("the disk is full"), "the disk is full"),
    ],
)
def test_the_engines_errors_get_their_place(catalogue: Catalogue, error: BadOption, expected: str) -> None:
    assert str(resolve(catalogue, "", "sum").placed(error)) == expected


def test_the_engines_errors_about_a_plain_objective_get_their_place(catalogue: Catalogue) -> None:
    text = "[recipes.x]\nmodel = 'toy'\nobjective = { name = 'channel',\nchannel = 2 }\n".replace(
        "\nchannel", " channel"
    )
    recipe = resolve(catalogue, text)
    assert str(recipe.placed(BadOption("channel 2: no"))) == "c:11: recipes.x.objective.channel: channel 2: no"
    assert str(recipe.placed(BadOption("layer 'x': no"))) == "c:11: recipes.x.objective.name: layer 'x': no"


WAY = """
    [recipes.x]
    model = "toy"
    transforms = [
        "jitter",
        { name = "pad", pixels = 500 },
        { name = "jitter", pixels = 50 },
    ]
    ascent = { name = "smooth", floor = 2 }
"""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("pixels 500: too many", "c:14: recipes.x.transforms[1].pixels: pixels 500: too many"),
        ("pixels 50: too many", "c:15: recipes.x.transforms[2].pixels: pixels 50: too many"),
        ("pixels 8: too many", "c:13: recipes.x.transforms[0]: pixels 8: too many"),
        ("floor 2, factors [0]: bad", "c:17: recipes.x.ascent.floor: floor 2, factors [0]: bad"),
        ("weights: 'w.pt' is bad", "c:11: recipes.x.model: 'w.pt' is bad"),
    ],
)
def test_errors_of_transforms_ascent_and_weights_get_their_place(
    catalogue: Catalogue, error: str, expected: str
) -> None:
    assert str(resolve(catalogue, WAY).placed(BadOption(error))) == expected


def test_an_error_of_weights_is_placed_where_they_are_named(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "w.pt").touch()
    recipe = resolve(catalogue, "[recipes.x]\nmodel = { name = 'toy', weights = 'w.pt' }", base_dir=tmp_path)
    assert str(recipe.placed(BadOption("weights: bad"))) == "c:10: recipes.x.model.weights: bad"


def test_a_neuron_without_a_gradient_is_told_to_be_off(catalogue: Catalogue) -> None:
    text = "[recipes.x]\nmodel = 'toy'\nobjective = { name = 'neuron', channel = 3, x = 0.25 }"
    error = BadOption("objective at 0: its gradient is zero everywhere on this picture.")
    said = "The cell at x = 0.25, y = 0.5 of channel 3 is off on this picture, as behind a ReLU: choose another x and y"
    assert said in str(resolve(catalogue, text).placed(error))
