"""What fails, fails alone and says why; what does not fit is made smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepdream_engine import Dream, DreamJob, Engine, Failure, Objective, Program, Schedule
from deepdream_engine.errors import BadOption, UnknownTap

from .conftest import TINY, job


def test_a_bad_picture_leaves_its_neighbours_alone(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    poison = torch.full((3, 48, 48), torch.nan)
    jobs = [job(clouds(48, 48, 1)), job(poison), job(clouds(48, 48, 2)), job(clouds(5, 48))]
    outcomes = dict(engine.stream(jobs))
    assert [type(outcomes[index]) for index in range(4)] == [Dream, Failure, Dream, Failure]
    assert isinstance(failure := outcomes[1], Failure)
    assert "not finite" in str(failure.error)


def test_a_gradient_that_is_zero_everywhere_is_an_error(engine: Engine) -> None:
    dead = Objective(key="dead", taps=("relu1",), score=lambda acts, _: acts["relu1"].sum((1, 2, 3)) * 0)
    program = Program(network=TINY, objective=dead)
    with pytest.raises(BadOption, match="zero everywhere"):
        engine.dream([DreamJob(pixels=torch.rand(3, 32, 32), program=program)])


def test_an_objective_that_raises_costs_its_own_jobs_only(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    def broken(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
        raise KeyError("colour")

    program = Program(network=TINY, objective=Objective(key="broken", taps=("relu1",), score=broken))
    outcomes = dict(engine.stream([DreamJob(pixels=clouds(32, 32), program=program), job(clouds(32, 32))]))
    assert isinstance(failure := outcomes[0], Failure)
    assert "KeyError: 'colour'" in str(failure.error)
    assert isinstance(outcomes[1], Dream)


def test_an_unknown_tap_is_a_bad_option(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    with pytest.raises(BadOption, match="unknown layer of model 'tiny' 'relu9'"):
        engine.dream([job(clouds(32, 32), tap="relu9")])


def test_a_bad_tap_of_one_model_leaves_the_others_in_the_cache_usable(clouds: Callable[..., Tensor]) -> None:
    engine = Engine(device="cpu")
    networks = [replace(TINY, key=letter, name=letter) for letter in "ABCDE"]
    picture = clouds(24, 24)
    for network in networks[:4]:
        engine.dream([job(picture, network=network, steps=1)])
    with pytest.raises(UnknownTap):
        engine.dream([job(picture, network=networks[4], tap="nowhere")])
    for network in networks:
        engine.dream([job(picture, network=network, steps=1)])


def test_reduced_precision_that_breaks_down_on_a_picture_is_dreamt_again_in_full(
    clouds: Callable[..., Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    precisions = []

    def score(activations: Mapping[str, Tensor], _options: Mapping[str, object]) -> Tensor:
        seen = activations["relu2"]
        broken = torch.is_autocast_enabled("cpu") or len(precisions) < 3
        precisions.append(broken)
        return seen.square().sum((1, 2, 3)) * (torch.inf if broken else 1)

    program = Program(network=TINY, objective=Objective(key="fragile", taps=("relu2",), score=score), precision="bf16")
    (dream,) = Engine(device="cpu").dream(
        [DreamJob(pixels=clouds(32, 32), program=program, schedule=Schedule(octaves=1, steps=3))]
    )
    assert dream.precision == "fp32"
    assert dream.pixels.isfinite().all()
    assert "dreaming it again in fp32" in caplog.text
