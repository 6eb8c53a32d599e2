"""What a recipe's functions give back is looked at without waiting for a device; what is wrong names its plugin."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deepdream_engine.activations import Activations
from deepdream_engine.errors import BadOption, BadPicture, EngineFault
from deepdream_engine.records import Schedule, Step
from deepdream_plugins import (
    AscentSpec,
    ModelSpec,
    Option,
    PluginFailure,
    PluginHost,
    RecipeBook,
    ScheduleSpec,
    Selection,
    hookimpl,
    load_catalogue,
)
from deepdream_plugins.catalogue import Catalogue
from deepdream_plugins.hosting.guarded import Direction, Loading, View, prepared, scored
from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.hosting.loading import BUILT_IN
from deepdream_plugins.resolving.arranging import arranged
from deepdream_plugins.resolving.configured import Configured

GUARD = Guard("the thing 'x'", "mine")
STEP = Step(index=0, count=1, octave=0)


def seen(device: str = "cpu", pictures: int = 2) -> Activations:
    pixels = torch.zeros(pictures, 3, 4, 4, device=device, requires_grad=True)
    return Activations(by_tap={"a": pixels * 2}, pixels=pixels, frame=torch.zeros(pictures, 2, 3, device=device))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda seen: 3.0, "returned float; score must return a tensor of shape (N,)."),
        (lambda seen: None, "returned NoneType; score must"),
        (lambda seen: seen["a"].mean(dim=(1, 2)), "a score of shape (2, 4) for 2 pictures, not (2,); reduce over"),
        (lambda seen: torch.ones(2, dtype=torch.int64), "returned a score of torch.int64; it must be floating-point"),
        (lambda seen: seen["a"].detach().mean(dim=(1, 2, 3)), "a score that has no gradient: it was made without"),
    ],
)
def test_a_score_that_is_none_is_refused(result: Callable[..., Any], said: str) -> None:
    with pytest.raises(PluginFailure) as caught:
        scored(GUARD, result, seen())
    assert said in str(caught.value)
    assert str(caught.value).startswith("the thing 'x' of the plugin 'mine' ")


def test_looking_at_results_reads_no_value() -> None:
    """On the meta device there are none to read."""
    found = scored(GUARD, lambda seen: seen["a"].square().mean(dim=(1, 2, 3)), seen("meta"))
    assert found.shape == (2,)
    picture = torch.zeros(1, 3, 4, 4, device="meta")
    assert Direction(GUARD, lambda gradient, state, step: gradient)(picture, {}, STEP).shape == picture.shape
    assert View(GUARD, lambda picture, generator: picture[..., 1:])(picture, torch.Generator()).shape == (1, 3, 4, 3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: Direction(GUARD, lambda *_: 1)(p, {}, STEP), "returned int; direction must return a tensor."),
        (lambda p: Direction(GUARD, lambda g, *_: g[0])(p, {}, STEP), "returned the shape (3, 4, 4) for a gradient of"),
        (lambda p: View(GUARD, lambda *_: None)(p, torch.Generator()), "returned NoneType; apply must return a tensor"),
        (lambda p: View(GUARD, lambda p, _: p[:, :1])(p, torch.Generator()), "only height and width may change."),
        (lambda p: View(GUARD, lambda p, _: p[..., :0])(p, torch.Generator()), "only height and width may change."),
        (lambda p: View(GUARD, lambda p, _: p.detach())(p, torch.Generator()), "a picture that has no gradient"),
        (lambda p: Loading(GUARD, lambda weights: {}, None)(), "returned dict; load must return a torch.nn.Module."),
        (lambda p: prepared(GUARD, lambda look: [p], p), "returned list; prepare must return a dict of tensors"),
        (
            lambda p: prepared(GUARD, lambda look: {"a": 1}, p),
            "prepared 'a': int; prepare must return tensors",
        ),
    ],
)
def test_what_else_is_no_use_is_refused(call: Callable[..., Any], said: str) -> None:
    with pytest.raises(PluginFailure) as caught:
        call(torch.zeros(1, 3, 4, 4, requires_grad=True))
    assert said in str(caught.value)
    assert caught.value.plugin == "mine"


def test_what_is_right_passes() -> None:
    module = nn.Conv2d(3, 1, 1)
    assert Loading(GUARD, lambda weights: module, None)() is module
    assert prepared(GUARD, lambda look: {"a": look}, torch.ones(1))["a"] == 1


@pytest.mark.parametrize(
    "error", [BadOption("no"), BadPicture("no"), EngineFault("no"), MemoryError(), torch.OutOfMemoryError("full")]
)
def test_an_error_with_a_meaning_passes_as_it_is(error: Exception) -> None:
    def raises() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        GUARD.call(raises)
    assert caught.value is error


@pytest.mark.parametrize("plugin", ["mine", "filters"])
def test_another_error_names_the_line_of_the_plugin_and_not_that_of_torch(plugin: str) -> None:
    def multiplies() -> torch.Tensor:
        return nn.functional.conv2d(torch.ones(2, 3, 4, 4), torch.ones(1, 4, 1, 1))

    with pytest.raises(PluginFailure) as caught:
        Guard("the thing 'x'", plugin).call(multiplies)
    line = multiplies.__code__.co_firstlineno + 1
    assert f"the thing 'x' of the plugin {plugin!r} failed at {__file__}:{line}: RuntimeError: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (lambda schedule, height, width: 4, "returned int, not a Schedule."),
        (lambda schedule, height, width: Schedule(octaves=99), "returned a schedule in which octaves: 99 is not"),
        (lambda schedule, height, width: Schedule(steps=(1, 2)), "in which steps has 2 values for 4 octaves."),
        (lambda schedule, height, width: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_schedule_that_no_recipe_could_say_is_refused(arrange: Callable[..., Any], said: str) -> None:
    spec = ScheduleSpec(name="odd", help="x", arrange=arrange)
    with pytest.raises(PluginFailure) as caught:
        arranged(Configured(spec=spec, owner="mine", options={}), Schedule(), 40, 40)
    assert str(caught.value).startswith("the schedule 'odd' of the plugin 'mine' ")
    assert said in str(caught.value)


class Plugin:
    """A model whose classes cannot be had, and an ascent with an option."""

    def __init__(self, classes: Callable[[], Any]) -> None:
        self._classes = classes

    @hookimpl
    def deepdream_models(self) -> Any:
        yield ModelSpec(
            name="toy", help="x", load=lambda _: nn.Conv2d(3, 1, 1), default_tap="a", weights="x", classes=self._classes
        )

    @hookimpl
    def deepdream_ascents(self) -> Any:
        option = Option(name="speed", type=float, default=2.0, help="x")
        yield AscentSpec(name="fast", help="x", direction=lambda g, s, t, speed: g * speed, options=(option,))


@pytest.mark.parametrize(("classes", "said"), [(lambda: 1 / 0, "ZeroDivisionError"), (lambda: "cat", "returned str;")])
def test_classes_that_cannot_be_had_spoil_one_recipe_and_no_other(classes: Callable[[], Any], said: str) -> None:
    host = PluginHost()
    host.register(Plugin(classes), "mine")
    tables = {"bad": {"model": "toy", "objective": {"name": "class_logit", "label": "cat"}}}
    wrong = RecipeBook(Catalogue(host), tables).check()
    assert list(wrong) == ["bad"]
    assert "the classes of the model 'toy' cannot be had: the model 'toy' of the plugin 'mine' " in str(wrong["bad"])
    assert said in str(wrong["bad"])


def test_a_recipe_knows_whose_it_is() -> None:
    host = PluginHost()
    host.register(Plugin(lambda: ["cat"]), "mine")
    book = RecipeBook(Catalogue(host))
    assert book.catalogue.host is host
    assert book.resolve("classic").plugins <= set(BUILT_IN)
    fast = book.resolve("classic", [({"ascent": "fast"}, lambda *keys: "test")])
    assert fast.plugins - set(BUILT_IN) == {"mine"}
    job = fast.job(torch.rand(3, 40, 40), 1)
    assert job.ascent is not None
    assert torch.equal(job.ascent(torch.ones(1, 3, 4, 4), {}, STEP), torch.full((1, 3, 4, 4), 2.0))


def test_a_network_of_the_configuration_may_not_take_a_known_name(tmp_path: Path) -> None:
    selection = Selection(models={"googlenet": {"torchvision": "resnet18"}}, base_dir=tmp_path)
    with pytest.raises(BadOption, match=r"^c.toml:3: models.googlenet: the plugin 'torchvision' has a model"):
        load_catalogue(selection, lambda *keys: f"c.toml:3: {'.'.join(map(str, keys))}")


def test_the_guard_of_a_strangers_score_takes_next_to_no_time() -> None:
    some, score = seen(), lambda seen: some.pixels[:, 0, 0, 0]
    scored(GUARD, score, some)
    begun = time.process_time()
    for _ in range(2000):
        scored(GUARD, score, some)
    assert (time.process_time() - begun) / 2000 < 1e-3
