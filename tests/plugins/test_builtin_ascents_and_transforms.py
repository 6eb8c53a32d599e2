"""The built-in ascents and transforms: records that fit the engine's functions, option by option."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

from deepdream_engine import ascents as engine_ascents
from deepdream_engine import transforms as engine_transforms
from deepdream_engine.records import Step
from deepdream_plugins.builtin import ascents, transforms
from deepdream_plugins.records import AscentSpec, Option, TransformSpec

ASCENTS: dict[str, AscentSpec] = {spec.name: spec for spec in ascents.deepdream_ascents()}
TRANSFORMS: dict[str, TransformSpec] = {spec.name: spec for spec in transforms.deepdream_transforms()}
OPTIONS = {
    **{name: (spec.options, getattr(engine_ascents, name)) for name, spec in ASCENTS.items()},
    **{name: (spec.options, getattr(engine_transforms, name)) for name, spec in TRANSFORMS.items()},
}


def defaults(options: tuple[Option, ...]) -> dict[str, object]:
    return {option.name: option.default for option in options}


def test_the_first_ascent_is_googles() -> None:
    assert list(ASCENTS) == ["mean_abs", "std", "smooth", "lapnorm", "momentum", "adam"]
    assert list(TRANSFORMS) == ["pad", "jitter", "scale", "rotate"]


@pytest.mark.parametrize("name", OPTIONS)
def test_records_declare_all_options_of_the_functions_with_their_defaults(name: str) -> None:
    options, function = OPTIONS[name]
    keywords = {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert defaults(options) == keywords
    for option in options:
        assert option.help
        values = option.default if option.many else (option.default,)
        assert isinstance(values, tuple)
        assert all(type(value) is option.type for value in values)


@pytest.mark.parametrize("name", ASCENTS)
def test_an_ascent_does_what_the_engines_function_does(name: str) -> None:
    spec = ASCENTS[name]
    gradient = torch.randn(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    step = Step(index=0, count=10, octave=0)
    direction = spec.direction(gradient.clone(), {}, step, **defaults(spec.options))
    assert torch.equal(direction, getattr(engine_ascents, name)(gradient.clone(), {}, step))
    assert direction.std() > 0


@pytest.mark.parametrize("name", ASCENTS)
def test_an_ascent_bears_the_bounds_of_its_options(name: str) -> None:
    spec = ASCENTS[name]
    for option in spec.options:
        for bound in (option.minimum, option.maximum):
            if bound is None:
                continue
            value = option.type(bound)
            given = {**defaults(spec.options), option.name: (value,) if option.many else value}
            gradient = torch.randn(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
            state: dict[str, torch.Tensor] = {}
            for index in range(2):
                step = Step(index=index, count=2, octave=0)
                assert spec.direction(gradient.clone(), state, step, **given).isfinite().all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_does_what_the_engines_function_does(name: str) -> None:
    spec = TRANSFORMS[name]
    picture = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    view = spec.apply(picture, torch.Generator().manual_seed(1), **defaults(spec.options))
    assert torch.equal(view, getattr(engine_transforms, name)(picture, torch.Generator().manual_seed(1)))


def test_every_mode_of_pad_is_the_engines() -> None:
    (mode,) = (option for option in TRANSFORMS["pad"].options if option.name == "mode")
    assert mode.choices == engine_transforms.PAD_MODES


def test_listing_them_imports_no_torch() -> None:
    code = """
import sys
from deepdream_plugins.builtin import ascents, transforms
list(ascents.deepdream_ascents()), list(transforms.deepdream_transforms())
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
