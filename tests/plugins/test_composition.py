"""Weighted terms become one score of the engine's, each with its own options, guide, mask and strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepdream_engine.activations import Activations, Look
from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import Picture
from deepdream_engine.records import DreamJob, Objective
from deepdream_plugins import RecipeBook, ResolvedRecipe, Selection, load_catalogue
from tests.seeing import CHANNELS, Eye, gradient_of

PLUGIN = """
from deepdream_plugins import ModelSpec, ObjectiveSpec, Option, PictureFile, Tap, hookimpl

LAYER = Option(name="layer", type=Tap, help="where")
LOUD = Option(name="loud", type=float, default=1, per_picture=True, help="how much")

def total(seen, layer, loud): return seen[layer].sum((1, 2, 3)) * loud
def average(seen, layer, loud): return seen[layer].mean((1, 2, 3)) * loud
def dead(seen, layer): return (seen[layer] * 0).sum((1, 2, 3))
def like(seen, layer, wanted): return (seen[layer].mean((2, 3)) * wanted).sum(1)
def look_at(look, layer): return {"wanted": look.guides["guide"][layer].mean((2, 3))[0]}
def brightest(seen, layer, place): return seen[layer].flatten(1).gather(1, place[:, None])[:, 0]
def find(look, layer): return {"place": look[layer].abs().flatten(1).argmax(1)[0]}
def light(seen): return seen.pixels.sum((1, 2, 3))
def source(seen): return -(seen.pixels - seen.source).square().sum((1, 2, 3))

@hookimpl
def deepdream_objectives():
    guide = Option(name="guide", type=PictureFile, default="", help="what it shall be like")
    yield ObjectiveSpec(name="total", help="x", score=total, options=(LAYER, LOUD), is_sum=True)
    yield ObjectiveSpec(name="average", help="x", score=average, options=(LAYER, LOUD))
    yield ObjectiveSpec(name="dead", help="x", score=dead, options=(LAYER,))
    yield ObjectiveSpec(name="like", help="x", score=like, prepare=look_at, options=(LAYER, guide))
    yield ObjectiveSpec(name="brightest", help="x", score=brightest, prepare=find, options=(LAYER,))
    yield ObjectiveSpec(name="light", help="x", score=light)
    yield ObjectiveSpec(name="source", help="x", score=source, needs_source=True)

@hookimpl
def deepdream_models():
    yield ModelSpec(name="eye", help="x", load=lambda _: None, default_tap="deep", weights="none", min_side_px=4)
"""

Recipe = Callable[..., ResolvedRecipe]
EYE = Eye()


@pytest.fixture
def recipe(folder: Path, write_plugin: Callable[[str, str], Path]) -> Recipe:
    """``recipe("a - b", terms={…})`` has that objective on the model ``eye``."""
    write_plugin("terms", PLUGIN)
    book = RecipeBook(load_catalogue(Selection(folder=folder)))

    def resolve(objective: object, **table: object) -> ResolvedRecipe:
        return book.resolve("classic", [({"model": "eye", "objective": objective, **table}, lambda *keys: "test")])

    return resolve


def pictures(count: int, height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def look(picture: Tensor, job: DreamJob | None = None) -> Look:
    """Return the look at one picture ``(1, 3, H, W)`` that the engine would give to ``prepare``."""
    planes = {} if job is None else {name: plane[None].to(picture) for name, plane in job.planes.items()}

    def see(pixels: Tensor) -> Activations:
        return replace(EYE.see(pixels, source=picture), planes=planes)

    def strength(score: Callable[[Activations], Tensor]) -> Tensor:
        with torch.enable_grad():
            return gradient_of(lambda pixels: score(see(pixels)), picture).abs().mean()

    guides = {} if job is None else {name: EYE.see(guide[None].to(picture)) for name, guide in job.guides.items()}
    with torch.no_grad():
        return Look(activations=see(picture), guides=guides, strength=strength, seed=0)


def inputs(jobs: Sequence[DreamJob], batch: Tensor) -> tuple[Objective, dict[str, Any], dict[str, Tensor]]:
    """Return the objective, and options and planes of a pass of ``batch``, as the engine would stack them."""
    objective = jobs[0].program.objective
    assert all(job.program == jobs[0].program for job in jobs)
    ready = []
    for job, picture in zip(jobs, batch, strict=True):
        plain = {**objective.static, **job.options}
        seen = look(picture[None], job)
        if objective.check is not None:
            objective.check({tap: tuple(seen[tap].shape) for tap in seen}, plain)
        own = {name: torch.tensor(value) for name, value in job.options.items()}
        ready.append(own if objective.prepare is None else {**own, **objective.prepare(seen, plain)})
    options = {name: torch.stack([one[name] for one in ready]) for name in ready[0]}
    planes = {name: torch.stack([job.planes[name] for job in jobs]).to(batch) for name in jobs[0].planes}
    return objective, {**objective.static, **options}, planes


def gradient(recipes: Sequence[ResolvedRecipe], batch: Tensor, given: Mapping[str, Picture] | None = None) -> Tensor:
    """Return the gradient of the recipes' scores, all in one pass."""
    jobs = [each.job(picture, 1, given or {}) for each, picture in zip(recipes, batch, strict=True)]
    objective, options, planes = inputs(jobs, batch)
    return gradient_of(
        lambda pixels: objective.score(replace(EYE.see(pixels, source=batch), planes=planes), options), batch
    )


def half_white(height: int = 16, width: int = 24) -> Picture:
    """A mask whose left half is white."""
    pixels = torch.zeros(height, width, 3)
    pixels[:, : width // 2] = 1
    return Picture(pixels=pixels.numpy(), format="PNG")


def test_an_objective_alone_is_passed_on_as_it_is(recipe: Recipe) -> None:
    batch = pictures(1)
    alone = recipe({"name": "average", "loud": 2}).job(batch[0], 1)
    objective = alone.program.objective
    assert objective.key == ("average", (("layer", "deep"),))
    assert (objective.static, alone.options) == ({"layer": "deep"}, {"loud": 2})
    assert objective.check is None
    assert objective.prepare is None
    seen = EYE.see(batch.requires_grad_())
    loud = torch.tensor([2.0], dtype=torch.float64)
    score = objective.score(seen, {"layer": "deep", "loud": loud})
    product = score.grad_fn
    assert product is not None
    assert "Mean" in type(product.next_functions[0][0]).__name__, "nothing lies between the objective and the engine"
    assert torch.equal(score, seen["deep"].mean((1, 2, 3)) * 2)


def test_the_score_is_the_weighted_sum_and_weights_are_each_pictures_own(recipe: Recipe) -> None:
    batch = pictures(2)
    both = [
        recipe("average - 0.5 * total", balance=False),
        recipe("3 * average + a", terms={"a": "light"}, balance=False),
        recipe("-2 * average + 0.25 * total", balance=False),
    ]
    assert both[0].program() == both[2].program() != both[1].program()
    found = gradient([both[0], both[2]], batch)
    for index, (mean, total) in enumerate([(1, -0.5), (-2, 0.25)]):
        one = batch[index : index + 1]
        expected = mean * gradient([recipe("average")], one) + total * gradient([recipe("total")], one)
        torch.testing.assert_close(found[index : index + 1], expected)


def test_a_negative_factor_suppresses(recipe: Recipe) -> None:
    batch = pictures(1)
    torch.testing.assert_close(gradient([recipe("-total")], batch), -gradient([recipe("total")], batch))


def test_terms_keep_their_own_options_apart(recipe: Recipe) -> None:
    terms = {"loud": {"name": "total", "loud": 3}, "layer": {"name": "total", "loud": 5}}
    many = recipe("loud + layer", terms=terms, balance=False)
    job = many.job(pictures(1)[0], 1)
    assert job.options == {"loud.loud": 3, "layer.loud": 5, "loud.*": 1, "layer.*": 1}
    batch = pictures(1)
    torch.testing.assert_close(gradient([many], batch), 8 * gradient([recipe("total")], batch))


def test_balanced_terms_are_as_strong_as_their_factors_say(recipe: Recipe) -> None:
    batch = pictures(1)
    loud = {"name": "total", "loud": 1000}
    found = gradient([recipe("loud + 0.5 * average", terms={"loud": loud})], batch)
    strong, weak = (gradient([recipe(name)], batch) for name in ("total", "average"))
    expected = strong / strong.abs().mean() + 0.5 * weak / weak.abs().mean()
    torch.testing.assert_close(found, expected)


def test_sums_and_means_keep_their_balance_on_a_larger_octave(recipe: Recipe) -> None:
    small, large = pictures(1), pictures(1, 64, 96)
    objective, options, _ = inputs([recipe("total + average").job(small[0], 1)], small)
    off = torch.zeros(1, dtype=torch.float64)

    def strength(label: str) -> float:
        alone = {**options, f"{label}.*": off}
        return float(gradient_of(lambda pixels: objective.score(EYE.see(pixels), alone), large).abs().mean())

    assert strength("total") == pytest.approx(strength("average"), rel=0.2)


def test_a_score_of_pixels_is_never_balanced(recipe: Recipe) -> None:
    batch = pictures(1)
    found = gradient([recipe("total - 0.5 * light")], batch)
    alone = gradient([recipe("total")], batch)
    torch.testing.assert_close(found, alone / alone.abs().mean() - 0.5)


def test_a_term_that_is_dead_on_a_picture_cannot_be_balanced(recipe: Recipe) -> None:
    batch = pictures(1)
    dead = recipe("total + 0.5 * nothing", terms={"nothing": "dead"})
    with pytest.raises(BadOption) as caught:
        gradient([dead], batch)
    assert str(caught.value).startswith("nothing: this term's gradient on this picture is 0,")
    assert str(dead.placed(caught.value)).startswith("test: nothing: ")
    unbalanced = recipe("total + 0.5 * nothing", terms={"nothing": "dead"}, balance=False)
    torch.testing.assert_close(gradient([unbalanced], batch), gradient([recipe("total")], batch))


def test_what_is_not_in_a_picture_needs_no_suppression(recipe: Recipe) -> None:
    batch = pictures(1)
    alone = gradient([recipe("total")], batch)
    torch.testing.assert_close(gradient([recipe("total - 0.5 * dead")], batch), alone / alone.abs().mean())


def test_a_plugins_complaint_is_said_with_its_term(recipe: Recipe) -> None:
    chosen = recipe("total + eyes", terms={"eyes": {"name": "channel", "channel": CHANNELS}})
    with pytest.raises(BadOption, match=rf"^eyes\.channel {CHANNELS}: the layer 'deep' has {CHANNELS}"):
        gradient([chosen], pictures(1))


def test_a_mask_confines_its_term_alone(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.EYE", Eye(reach=1))
    batch = pictures(1)
    given = {"mask": half_white()}
    masked = {"name": "total", "mask": ""}
    for objective, terms in ((masked, {}), ("-left", {"left": masked}), ("left + right", {"left": masked})):
        table = {} if not terms else {"terms": {**terms, "right": "dead"}, "balance": False}
        found = gradient([recipe(objective, **table)], batch, given)
        assert found[..., :12].abs().min() > 0
        assert found[..., 12:].abs().max() == 0
    both = gradient([recipe("left + light", terms={"left": masked})], batch, given)
    torch.testing.assert_close(both[..., 12:], torch.ones_like(both[..., 12:]))
    pixels = gradient(
        [recipe("left + total", terms={"left": {"name": "light", "mask": ""}}, balance=False)], batch, given
    )
    expected = gradient([recipe("total")], batch)
    expected[..., :12] += 1
    torch.testing.assert_close(pixels, expected)


def test_a_masked_term_is_prepared_from_what_it_may_see(recipe: Recipe) -> None:
    batch = pictures(1)
    batch[..., 14:] = torch.linspace(0, 9, 10, dtype=torch.float64)  # by far the brightest, outside the mask
    table = {"terms": {"left": {"name": "brightest", "mask": ""}}, "balance": False}
    found = gradient([recipe("2 * left", **table)], batch, {"mask": half_white()})
    assert found[..., :14].abs().max() > 0
    assert found[..., 14:].abs().max() == 0


def test_a_mask_needs_places(recipe: Recipe) -> None:
    table = {"terms": {"sea": {"name": "class_logit", "label": 1, "mask": ""}}}
    with pytest.raises(BadOption, match=r"^sea\.mask: 'logits' has no places that a mask could confine"):
        gradient([recipe("sea - total", **table)], pictures(1), {"mask": half_white()})


def test_each_term_has_its_own_guide(recipe: Recipe, tmp_path: Path) -> None:
    from PIL import Image

    names = {}
    for name, colours in (("red", ((255, 0, 0), (200, 0, 0))), ("blue", ((0, 0, 255), (0, 0, 200)))):
        image = Image.new("RGB", (12, 8), colours[0])
        image.paste(colours[1], (0, 0, 6, 8))
        names[name] = str(tmp_path / f"{name}.png")
        image.save(names[name])
    batch = pictures(1)
    terms = {name: {"name": "like", "guide": path} for name, path in names.items()}
    found = gradient([recipe("red - 2 * blue", terms=terms, balance=False)], batch)
    red, blue = (gradient([recipe({"name": "like", "guide": path})], batch) for path in names.values())
    assert (red - blue).abs().max() > 1e-4
    torch.testing.assert_close(found, red - 2 * blue)
    assert recipe("red - 2 * blue", terms=terms).program() == recipe("red + blue", terms=terms).program()


def test_a_score_of_the_pixels_alone_needs_no_network(recipe: Recipe) -> None:
    objective = recipe("light").program().objective
    assert (objective.taps, objective.needs_source) == ((), False)
    assert recipe("light + source").program().objective.needs_source
    torch.testing.assert_close(gradient([recipe("light - 0.5 * source")], pictures(1)), torch.ones_like(pictures(1)))
