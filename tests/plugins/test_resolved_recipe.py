"""A resolved recipe gives the engine its job, and keeps a plugin's mistakes out of the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deepdream_engine.errors import EngineFault
from deepdream_engine.records import Step
from deepdream_plugins import RecipeBook, ResolvedRecipe, Selection, load_catalogue
from tests.seeing import given

FILTERS = """
import torch
from deepdream_plugins import FilterSpec, hookimpl

def loud(p, c): return p * 9 - 4
def noisy(p, c): return p + torch.randn(p.shape, generator=torch.Generator().manual_seed(c.seed))
def fails(p, c): raise KeyError("oops")
def nan(p, c): return p / 0 * 0
def grey(p, c): return p.mean(1, keepdim=True)
def flat(p, c): return p[0]
def text(p, c): return "picture"
def double(p, c): return p.double()
def cut(p, c): return p[..., 1:, :]
def source(p, c): return c.source
def graph(p, c): return p * torch.ones(1, requires_grad=True)

ALL = (loud, noisy, fails, nan, grey, flat, text, double, cut, source, graph)

@hookimpl
def deepdream_prefilters():
    return [FilterSpec(name=f.__name__, help="x", apply=f) for f in ALL]

@hookimpl
def deepdream_postfilters():
    return deepdream_prefilters()
"""

Recipe = Callable[..., ResolvedRecipe]


@pytest.fixture
def recipe(folder: Path, write_plugin: Callable[[str, str], Path]) -> Recipe:
    """``recipe(postfilters=[…])`` is the ``classic`` recipe with some keys changed."""
    write_plugin("many", FILTERS)
    book = RecipeBook(load_catalogue(Selection(folder=folder)))
    return lambda **table: book.resolve("classic", [(table, lambda *keys: "test")])


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(3, 13, 17, generator=torch.Generator().manual_seed(1))


def test_the_job_separates_what_varies_from_what_batches(recipe: Recipe, picture: torch.Tensor) -> None:
    objective = {"name": "channel", "layer": "mixed3a"}
    jobs = [
        recipe(objective={**objective, "channel": channel}, step_size=step, jitter=jitter).job(picture, seed=5)
        for channel, step, jitter in ((1, 1.0, 8), (2, 2.0, 16))
    ]
    assert jobs[0].program == jobs[1].program
    assert hash(jobs[0].program) == hash(jobs[1].program)
    assert [job.options for job in jobs] == [{"channel": 1}, {"channel": 2}]
    assert [(job.schedule.step_size, job.schedule.jitter_px, job.seed) for job in jobs] == [(1.0, 8, 5), (2.0, 16, 5)]
    program = jobs[0].program
    assert program.objective.taps == ("mixed3a",)
    assert program.objective.static == {"layer": "mixed3a"}
    assert program.objective.key == ("channel", (("layer", "mixed3a"),))
    assert (jobs[0].schedule.octaves, program.precision) == (6, "fp32")
    assert program.network.key == ("dreamnet", "", None)
    assert recipe(steps=3).program() == recipe(steps=4).program()


def test_the_score_and_the_check_get_options_by_name(recipe: Recipe) -> None:
    objective = recipe(objective={"name": "channel", "layer": "mixed3a", "channel": 1}).program().objective
    activations = given(torch.zeros(2, 3, 16, 16), mixed3a=torch.arange(2.0 * 3 * 4).reshape(2, 3, 2, 2))
    scores = objective.score(activations, {**objective.static, "channel": torch.tensor([0, 2])})
    assert scores.tolist() == [1.5, 21.5]
    assert objective.check is not None
    objective.check({"mixed3a": (2, 3, 2, 2)}, {**objective.static, "channel": 2})


def test_the_job_has_its_own_way_up(recipe: Recipe, picture: torch.Tensor) -> None:
    table = {"ascent": {"name": "adam", "beta1": 0.5}, "transforms": [{"name": "pad", "pixels": 3}, "jitter"]}
    job = recipe(**table, canvas="fourier").job(picture, seed=5)
    assert job.canvas == "fourier"
    assert job.ascent is not None
    gradient = torch.full((1, 3, 4, 4), 2.0)
    first = job.ascent(gradient.clone(), {}, Step(index=0, count=3, octave=0))
    torch.testing.assert_close(first, torch.ones_like(first))  # Adam's first step is the gradient's sign
    padded = job.transforms[0](picture[None], torch.Generator().manual_seed(0))
    assert padded.shape[2:] == (13 + 6, 17 + 6)
    assert len(job.transforms) == 2
    assert job.program == recipe().job(picture, seed=5).program, "pictures with other ways up share passes"


def test_filters_run_in_order_and_their_results_are_clamped(recipe: Recipe, picture: torch.Tensor) -> None:
    result = recipe(prefilters=["loud", "double"]).prefilter(picture, 1)
    assert torch.equal(result, (picture * 9 - 4).clamp(0, 1))
    assert result.dtype == torch.float32
    assert torch.equal(recipe(prefilters=["cut", "source"]).prefilter(picture, 1), picture[:, 1:])
    assert not recipe(prefilters=["graph"]).prefilter(picture, 1).requires_grad


def test_filters_are_given_the_source_and_the_seed(recipe: Recipe, picture: torch.Tensor) -> None:
    dream = 1 - picture
    assert torch.equal(recipe(postfilters=["source"]).postfilter(dream, picture, 1), picture)
    large = recipe(postfilters=["source"]).postfilter(dream, torch.ones(3, 40, 60), 1)
    assert torch.allclose(large, torch.ones(3, 13, 17))
    noisy = recipe(postfilters=["noisy"])
    assert torch.equal(noisy.postfilter(dream, picture, 1), noisy.postfilter(dream, picture, 1))
    assert not torch.equal(noisy.postfilter(dream, picture, 1), noisy.postfilter(dream, picture, 2))


def test_without_filters_a_picture_is_untouched(recipe: Recipe, picture: torch.Tensor) -> None:
    plain = recipe(prefilters=[], postfilters=[])
    assert torch.equal(plain.prefilter(picture, 1), picture)
    assert torch.equal(plain.postfilter(picture, picture, 1), picture)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "KeyError: 'oops'"),
        ("nan", "not finite"),
        ("grey", "the shape (1, 1, 13, 17), not (1, 3, height, width)"),
        ("flat", "the shape (3, 13, 17)"),
        ("text", "returned str, not a tensor"),
        ("cut", "changed the size from 17 × 13 to 17 × 12; only a pre-filter may"),
    ],
)
def test_a_filters_mistake_names_the_filter_and_its_plugin(
    recipe: Recipe, picture: torch.Tensor, name: str, said: str
) -> None:
    with pytest.raises(EngineFault) as caught:
        recipe(postfilters=[name]).postfilter(picture, picture, 1)
    assert str(caught.value).startswith(f"the post-filter '{name}' of the plugin 'many' ")
    assert said in str(caught.value)
    if name == "fails":
        assert "many.py:7: " in str(caught.value)
