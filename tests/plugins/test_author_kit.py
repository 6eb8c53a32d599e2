"""Every built-in record passes the checks that authors of plugins get, and the checks can be used as they promise."""

from __future__ import annotations

import re
import unittest
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from deepdream_engine.errors import BadOption
from deepdream_plugins import testing
from deepdream_plugins.hookspecs import KINDS, MODELS, SINKS, Kind
from deepdream_plugins.hosting.loading import BUILT_IN
from deepdream_plugins.records import ClassName, Option, SinkSpec
from deepdream_plugins.testing.models import check_network
from deepdream_plugins.testing.options import guesses

DOWNLOADED = "torchvision"
"""The built-in plugin whose networks are too large to check all of them in a moment."""


def built_in_checks() -> Iterator[Any]:
    for plugin, module in BUILT_IN.items():
        for kind in KINDS:
            records = getattr(import_module(module), kind.hook, list)()
            for spec in records if plugin != DOWNLOADED else []:
                for shows, check in testing.checks_of(kind, spec).items():
                    yield pytest.param(check, id=f"{kind.word}-{spec.name}-{shows}")


@pytest.mark.parametrize("check", list(built_in_checks()))
def test_built_in(check: Callable[[], None]) -> None:
    check()


def test_every_kind_of_record_has_checks() -> None:
    spec = SinkSpec(name="nowhere", help="h", deliver=lambda delivery: None)
    for kind in KINDS:
        assert testing.checks_of(kind, spec if kind is SINKS else testing.TINY), kind


def test_the_smallest_network_of_torchvision_keeps_its_record() -> None:
    specs = import_module(BUILT_IN[DOWNLOADED]).deepdream_models()
    spec = next(spec for spec in specs if spec.name == "googlenet")
    assert spec.build is not None
    check_network(spec, spec.build)


def test_the_tiny_model_passes_as_a_whole() -> None:
    testing.check_model(testing.TINY)


def test_pictures_and_networks_come_from_seeds_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = testing.tiny_network().state_dict(), testing.tiny_network().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(testing.a_picture(9, 7, seed=3), testing.a_picture(9, 7, seed=3))
    assert not torch.equal(testing.a_picture(9, 7, seed=3), testing.a_picture(9, 7, seed=4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 300), (301, 3)])
def test_pictures_of_any_size_are_within_their_range(height: int, width: int) -> None:
    picture = testing.a_picture(height, width)
    assert picture.shape == (3, height, width)
    assert 0 <= float(picture.min()) <= float(picture.max()) <= 1


def test_a_wrong_option_is_the_callers_mistake_and_named() -> None:
    channel = next(
        spec for spec in import_module(BUILT_IN["objectives"]).deepdream_objectives() if spec.name == "channel"
    )
    with pytest.raises(BadOption, match=r"channel 99: the layer 'shapes' has 12; choose one from 0 to 11\."):
        testing.check_objective(channel, channel=99)
    with pytest.raises(BadOption, match=r"unknown option of objective 'channel' 'chanel'\. Did you mean 'channel'\?"):
        testing.check_objective(channel, chanel=9)
    with pytest.raises(BadOption, match="objective 'channel' needs the option 'channel', an integer, at least 0"):
        testing.check_objective(channel)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (Option(name="o", type=int, help="h"), 1),
        (Option(name="o", type=int, help="h", minimum=3, maximum=4), 3),
        (Option(name="o", type=float, help="h", maximum=0.25), 0.25),
        (Option(name="o", type=str, help="h", choices=("b", "a")), "b"),
        (Option(name="o", type=bool, help="h"), True),
        (Option(name="o", type=ClassName, help="h"), "meadow"),
        (Option(name="o", type=float, help="h", many=True, minimum=2), [2.0]),
    ],
)
def test_options_without_a_default_are_guessed_within_their_bounds(option: Option, expected: object) -> None:
    assert next(guesses((option,))) == {"o": expected}


def test_what_cannot_be_guessed_asks_for_a_test_of_its_own() -> None:
    def check(*, word: str) -> None:
        raise BadOption(f"word {word!r} is not the right one.")

    spec = SinkSpec(
        name="secret",
        help="h",
        deliver=lambda delivery, word: None,
        check=check,
        options=(Option(name="word", type=str, help="h"),),
    )
    (run,) = testing.checks_of(SINKS, spec).values()
    with pytest.raises(unittest.SkipTest, match="Call check_declared with some in a test of the plugin's own"):
        run()


def test_of_a_model_that_can_be_built_nothing_is_fetched() -> None:
    def load(weights: Path | None) -> Any:
        raise AssertionError("fetched")

    spec = replace(testing.TINY, load=load)
    for check in testing.checks_of(MODELS, spec).values():
        check()


def test_a_delivery_is_of_real_pictures_and_may_be_repeated(tmp_path: Path) -> None:
    from PIL import Image

    first = testing.a_delivery(tmp_path)
    again = testing.a_delivery(tmp_path, attempt=2)
    other = testing.a_delivery(tmp_path, "other", job=2)
    assert first.key == again.key != other.key
    assert (first.attempt, again.attempt) == (1, 2)
    for path in (first.source, first.output, other.output):
        with Image.open(path) as picture:
            assert picture.size == (64, 48)
    assert Path(first.state).is_dir()


def test_the_kit_needs_no_pytest() -> None:
    sources = list(Path(testing.__file__).parent.glob("*.py"))
    assert len(sources) > 5
    assert [
        path.name for path in sources if re.search(r"^\s*(import|from) _?pytest", path.read_text(), re.MULTILINE)
    ] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)
def test_asking_for_checks_runs_nothing_of_the_plugin(kind: Kind) -> None:
    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("ran")

    functions = ("score", "apply", "direction", "arrange", "deliver", "load", "check", "build")
    fields = kind.record.__dataclass_fields__
    given = {name: never for name in functions if name in fields}
    texts = {name: "x" for name in ("default_tap", "weights") if name in fields}
    testing.checks_of(kind, kind.record(name="x", help="x", **given, **texts))
