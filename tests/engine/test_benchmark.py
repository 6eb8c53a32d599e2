"""The measuring code: a fair baseline, figures that follow from the times, counts that follow from the layers."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from deepdream_engine import Engine, Network, Schedule
from deepdream_engine.benchmark.batches import measure_batches, profile_batch
from deepdream_engine.benchmark.floor import Rates, count_step, floor_of, measure_rates
from deepdream_engine.benchmark.machine import describe
from deepdream_engine.benchmark.mixed import measure_mixed, mixed_sizes
from deepdream_engine.benchmark.naive import Naive
from deepdream_engine.benchmark.prediction import check_prediction
from deepdream_engine.benchmark.profiling import profiled
from deepdream_engine.benchmark.short import measure_short
from deepdream_engine.benchmark.single import measure_single
from deepdream_engine.benchmark.timing import Spread, interleaved, seconds_of
from deepdream_engine.benchmark.work import SCHEDULE, clouds, job, pixel_steps
from tests.measuring import best_within

from .conftest import DREAMNET, TINY

CPU = torch.device("cpu")
SMALL = replace(SCHEDULE, octaves=2)


@pytest.mark.parametrize(("network", "tap"), [(TINY, "first/output"), (TINY, "relu2"), (DREAMNET, "mixed4c")])
def test_the_baseline_makes_the_picture_that_the_engine_makes(engine: Engine, network: Network, tap: str) -> None:
    picture, schedule = clouds(72, 96), replace(SMALL, steps=2, jitter_px=9)
    ours = engine.dream([job(picture, network, tap, schedule=schedule)])[0].pixels
    theirs = Naive(network, tap, CPU).dream(picture, schedule)
    moved = (ours - picture).abs().mean()
    assert moved > 1 / 255
    assert (ours - theirs).abs().mean() < 0.01 * moved


def test_the_baseline_pays_for_what_the_published_scripts_pay_for() -> None:
    ran: list[str] = []
    kept: list[nn.Module] = []

    def watched() -> nn.Module:
        module = TINY.load()
        module.get_submodule("head").register_forward_hook(lambda *_: ran.append("head"))
        kept.append(module)
        return module

    Naive(replace(TINY, load=watched), "relu1", CPU).gradient(clouds(32, 32)[None])
    assert ran == ["head"]  # behind the tap
    weight = kept[0].get_submodule("conv1").weight
    assert isinstance(weight, nn.Parameter)
    assert weight.grad is not None


def test_a_tap_that_is_no_module_is_caught_where_it_lies() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(x))

    network = replace(TINY, key="functional", load=Functional)
    assert Naive(network, "relu", CPU).gradient(clouds(16, 16)[None]).any()


def test_runs_take_turns_and_the_first_of_each_does_not_count() -> None:
    def longest_seconds(_: int) -> float:
        order: list[str] = []
        slow = iter([1.0] + [0.0] * 9)

        def run(name: str) -> None:
            order.append(name)
            if name == "a":
                time.sleep(next(slow))

        times = interleaved({"a": lambda: run("a"), "b": lambda: run("b")}, device=CPU, rounds=3)
        assert order == ["a", "b"] * 4
        return max(times["a"].wall.values)

    best_within(0.2, longest_seconds)


def test_too_little_time_costs_rounds_but_not_the_median() -> None:
    done: list[int] = []
    times = interleaved({"a": lambda: time.sleep(0.02)}, device=CPU, rounds=50, seconds=0.01, on_round=done.append)
    assert len(times["a"].wall.values) == 3
    assert done == [0, 1, 2, 3]


def test_a_spread_compares_runs_of_the_same_round() -> None:
    slow, quick = Spread((2.0, 40.0, 2.0)), Spread((1.0, 20.0, 1.0))  # the machine was busy in the second round
    assert slow.over(quick).values == (2.0, 2.0, 2.0)
    assert quick.per(10).values == (10.0, 0.5, 10.0)
    assert Spread((1.0, 2.0, 3.0, 4.0, 5.0)).quartiles == (2.0, 4.0)
    assert Spread((1.0,)).quartiles == (1.0, 1.0)


def test_one_picture_is_measured_in_every_precision_and_the_figures_agree(engine: Engine) -> None:
    found = measure_single(engine, TINY, "relu2", size=(48, 64), schedule=SMALL, rounds=3)
    assert set(found.times) == {"naive", "fp32"}
    assert found.steps == 2
    assert found.pixel_steps == 48 * 64 + 34 * 46
    data = found.to_dict()["runs"]
    for name in found.times:
        took = found.times[name].wall.median
        assert data[name]["step_seconds"] == pytest.approx(took / 2)
        assert found.rate(name).median == pytest.approx(found.pixel_steps / took)
    assert found.speedup("naive").median == 1


def test_a_precision_that_falls_back_is_not_measured_as_if_it_had_not(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    found = measure_single(engine, TINY, "relu2", size=(32, 32), precisions=("fp32", "tf32"), schedule=SMALL, rounds=3)
    assert found.fell_back == ("tf32",)
    assert "tf32" not in found.times
    assert "tf32" in caplog.text


def test_a_mixed_folder_has_many_sizes_both_ways_up_and_the_pixels_of_the_equal_one() -> None:
    sizes = mixed_sizes(64, 320 * 240)
    assert len(sizes) == 64
    assert len(set(sizes)) >= 20
    assert sum(height > width for height, width in sizes) >= 16
    assert sum(height < width for height, width in sizes) >= 16
    assert sum(height * width for height, width in sizes) == pytest.approx(64 * 320 * 240, rel=0.01)


def test_folders_are_compared_by_pixels_and_meet_new_sizes_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    counting = Engine(device="cpu")
    original = counting.stream

    def watch(jobs, **options):  # type: ignore[no-untyped-def]
        jobs = list(jobs)
        seen.append(tuple(each.pixels.shape[2] for each in jobs))
        return original(iter(jobs), **options)

    monkeypatch.setattr(counting, "stream", watch)
    found = measure_mixed(counting, TINY, "relu2", count=4, pixels=40 * 30, schedule=SMALL, rounds=3)
    assert len(seen) == 8
    assert len(set(seen)) == 8
    assert found.sizes == 4
    assert found.share.values[0] == pytest.approx(found.mixed_rate.values[0] / found.equal_rate.values[0])
    assert found.to_dict()["share"]["median"] > 0


def test_a_convolutions_operations_and_values_are_counted_there_and_back() -> None:
    network = Network(
        key="one", name="one", load=lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU())
    )
    operations = count_step(network, "0", (10, 20))
    there = 2 * 10 * 20 * 3 * 8 * 9
    assert {(each.name, each.flops) for each in operations} >= {
        ("convolution", there),
        ("convolution_backward", there),  # of the input alone: weights are frozen
    }
    (forward,) = [each for each in operations if each.name == "convolution"]
    assert forward.values == 200 * 3 + 200 * 8 + 3 * 8 * 9


def test_the_floor_is_the_slower_of_arithmetic_and_memory_operation_by_operation() -> None:
    network = Network(key="two", name="two", load=lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)))
    operations = count_step(network, "1", (32, 32))
    quick_memory = floor_of(operations, Rates(flops=1e9, bytes=1e30), "fp32")
    assert quick_memory.seconds == pytest.approx(quick_memory.flops / 1e9)
    quick_arithmetic = floor_of(operations, Rates(flops=1e30, bytes=1e9), "fp32")
    assert quick_arithmetic.seconds == pytest.approx(quick_arithmetic.bytes / 1e9)
    assert floor_of(operations, Rates(flops=1e30, bytes=1e9), "bf16").bytes == quick_arithmetic.bytes / 2


def test_batches_are_set_against_the_baseline_and_the_floor(engine: Engine) -> None:
    rates = measure_rates(engine.device, ("fp32",), rounds=3)
    assert rates["fp32"].flops > 1e8
    found = measure_batches(
        lambda batch: Engine(device="cpu", max_batch=batch), TINY, "relu2", rates, batches=(1, 3), size=(32, 40),
        schedule=SMALL, rounds=3,
    )  # fmt: skip
    assert [(cell.precision, cell.batch) for cell in found.cells] == [("fp32", 1), ("fp32", 3)]
    for cell in found.cells:
        assert cell.speedup.values[0] == pytest.approx(cell.rate.values[0] / found.naive.values[0])
        assert cell.floor_share == pytest.approx(cell.rate.median * found.floors["fp32"].seconds)
        assert 0 < cell.floor_share < 1
    assert found.to_dict()["cells"][1]["batch"] == 3


def test_a_profile_tells_the_operations_and_the_time_in_which_none_runs() -> None:
    weight = torch.rand(128, 128)

    def multiply_and_rest() -> None:
        for _ in range(4):
            torch.mm(weight, weight)
            time.sleep(0.05)

    found = profiled(multiply_and_rest, CPU)
    assert found.top[0].name == "aten::mm"
    assert found.top[0].count == 4
    assert 0.5 < found.idle_share < 1
    spent = profile_batch(Engine(device="cpu"), TINY, "relu2", batch=1, size=(32, 32), precision="fp32", schedule=SMALL)
    assert 0 <= spent.idle_share < 1


def test_a_prediction_is_checked_with_as_many_steps_as_there_is_time_for(engine: Engine) -> None:
    dream = job(clouds(48, 64), TINY, "relu2", schedule=Schedule(octaves=2, steps=(2, 8), margin_px=4))
    whole = pixel_steps(dream)
    assert whole == 2 * (40 * 51) + 8 * (56 * 72)
    checked = check_prediction(engine, dream, rate=whole / 4.0, seconds=1000)
    assert (checked.predicted, checked.share) == (pytest.approx(4.0), 1)
    hurried = check_prediction(engine, dream, rate=whole / 4.0, seconds=2.0)
    assert hurried.share == pytest.approx((40 * 51 + 4 * 56 * 72) / whole)
    assert hurried.measured > 0


def test_the_short_suite_has_it_all(engine: Engine) -> None:
    class Stage:
        def __init__(self, name: str) -> None:
            stages.append(name)

        def __enter__(self):  # type: ignore[no-untyped-def]
            return fractions.append

        def __exit__(self, *_: object) -> None:
            pass

    stages: list[str] = []
    fractions: list[float] = []
    dream = job(clouds(64, 96), TINY, "relu1", schedule=Schedule(octaves=1, steps=2))
    found = measure_short(engine, dream, seconds=0.5, stage=Stage)
    assert len(stages) == 3
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert found.machine == describe(engine.device)
    assert found.dream.size == (64, 96)
    assert set(found.to_dict()) == {"machine", "single", "mixed", "dream"}


def test_seconds_are_those_of_the_clock() -> None:
    assert best_within(0.5, lambda _: seconds_of(lambda: time.sleep(0.05), CPU))[-1] >= 0.05
