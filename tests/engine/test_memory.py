"""Memory is set by tiles and passes: chosen from what there is, halved when it runs out, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepdream_engine import DreamJob, Engine, Objective, Program, Schedule
from deepdream_engine.ascents import adam
from deepdream_engine.device import Device
from deepdream_engine.dreaming import Way
from deepdream_engine.errors import OutOfMemory
from deepdream_engine.flight import Flight
from deepdream_engine.memory import Memory
from deepdream_engine.records import Step

from .conftest import DREAMNET, TINY, job, layer_l2, sharing_engine

Shapes = list[tuple[int, ...]]


def hungry(shapes: Shapes, most_cells: int) -> Objective:
    """A score that runs out of memory in passes of more than ``most_cells`` cells, and notes the shapes of all."""

    def score(activations: Mapping[str, Tensor], _options: Mapping[str, object]) -> Tensor:
        seen = activations["relu1"]
        shapes.append((len(seen), *seen.shape[2:]))
        if shapes[-1][0] * shapes[-1][1] * shapes[-1][2] > most_cells:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return seen.square().sum((1, 2, 3))

    return Objective(key=("hungry", id(shapes)), taps=("relu1",), score=score)


def jobs_of(objective: Objective, pictures: list[Tensor]) -> list[DreamJob]:
    program = Program(network=TINY, objective=objective)
    return [DreamJob(pixels=picture, program=program, schedule=Schedule(octaves=1, steps=2)) for picture in pictures]


def test_out_of_memory_halves_the_tile_until_it_fits(clouds: Callable[..., Tensor]) -> None:
    shapes: Shapes = []
    engine = Engine(device="cpu", tile_px=1024)
    (dream,) = engine.dream(jobs_of(hungry(shapes, 300 * 300), [clouds(400, 500)]))
    assert dream.pixels.shape == (3, 400, 500)
    assert dream.tile_px == 256
    assert all(rows * columns <= 256 * 256 for _, rows, columns in shapes[2:])


def test_out_of_memory_halves_the_batch_before_the_tile(clouds: Callable[..., Tensor]) -> None:
    shapes: Shapes = []
    engine = sharing_engine()
    dreams = engine.dream(jobs_of(hungry(shapes, 3 * 64 * 64), [clouds(64, 64, seed) for seed in range(8)]))
    assert [rows for rows, *_ in shapes][:3] == [8, 4, 2]
    assert set(shapes[2:]) == {(2, 64, 64)}
    assert {dream.tile_px for dream in dreams} == {1536}


def test_what_fitted_is_remembered_for_the_next_pictures(clouds: Callable[..., Tensor]) -> None:
    shapes: Shapes = []
    engine = sharing_engine()
    jobs = jobs_of(hungry(shapes, 3 * 64 * 64), [clouds(64, 64, seed) for seed in range(4)])
    engine.dream(jobs)
    shapes.clear()
    engine.dream(jobs)
    assert set(shapes) == {(2, 64, 64)}


def test_memory_that_never_suffices_is_one_clear_failure(clouds: Callable[..., Tensor]) -> None:
    with pytest.raises(OutOfMemory, match=r"out of memory on cpu.*tile_px"):
        Engine(device="cpu").dream(jobs_of(hungry([], 0), [clouds(64, 64)]))


def test_a_picture_that_does_not_fit_leaves_its_neighbours_alone(clouds: Callable[..., Tensor]) -> None:
    # What is too large for the smallest tile fails, and only that.
    shapes: Shapes = []
    engine = sharing_engine(tile_px=256)
    outcomes = dict(
        engine.stream(jobs_of(hungry(shapes, 200 * 200), [clouds(250, 250), clouds(64, 64), clouds(64, 64)]))
    )
    assert [type(outcomes[index]).__name__ for index in range(3)] == ["Failure", "Dream", "Dream"]


def test_the_tile_is_the_largest_that_the_budget_allows() -> None:
    def tile(gib: float, bytes_per_pixel: float) -> int:
        memory = Memory(Device("cpu"), max_batch=8, tile_px=None, memory_gib=gib)
        return memory.tile_px("model", bytes_per_pixel)

    assert tile(1, 300) == 1536
    assert tile(1, 2000) == 512
    assert tile(0.1, 2000) == 256
    assert tile(64, 2000) == 1536
    assert tile(1, 300) ** 2 * 300 <= 2**30


def test_a_tile_that_was_asked_for_is_taken() -> None:
    memory = Memory(Device("cpu"), max_batch=8, tile_px=700, memory_gib=0.01)
    assert memory.tile_px("model", 5000) == 700


def test_large_canvases_live_on_the_host() -> None:
    device = Device("cpu")
    memory = Memory(device, max_batch=8, tile_px=None, memory_gib=1)
    device.torch_device = torch.device("meta")  # any device that is not the host
    small, large = 100e6, 1e9
    homes = [memory.take_canvas(small).type for _ in range(4)]
    assert homes == ["meta", "meta", "cpu", "cpu"]  # a quarter of the budget is theirs
    memory.give_canvas_back(small, torch.device("meta"))
    assert memory.take_canvas(large).type == "cpu"
    assert memory.take_canvas(small).type == "meta"


def test_a_canvas_is_counted_with_its_largest_octave_its_margin_and_what_its_ascent_remembers() -> None:
    plain = Way(job(torch.rand(3, 100, 100), octaves=1), torch.float32).canvas_bytes
    assert plain >= 36 * 100 * 100
    for larger in (
        Way(job(torch.rand(3, 100, 100), octaves=2, octaves_above=1), torch.float32),
        Way(job(torch.rand(3, 100, 100), octaves=1, margin_px=20), torch.float32),
        Way(job(torch.rand(3, 100, 100), octaves=1), torch.float64),
        Way(replace(job(torch.rand(3, 100, 100), octaves=1), ascent=adam), torch.float32),
        Way(replace(job(torch.rand(3, 100, 100), octaves=1), canvas="fourier"), torch.float32),
    ):
        assert larger.canvas_bytes > 1.4 * plain


def test_one_window_in_a_pass_of_many_rows_runs_out_by_its_rows_first(clouds: Callable[..., Tensor]) -> None:
    shapes: Shapes = []
    (dream,) = sharing_engine().dream(jobs_of(hungry(shapes, 3 * 64 * 64), [clouds(64, 64)]))
    assert [rows for rows, *_ in shapes][:3] == [8, 4, 2]
    assert dream.tile_px == 1536


def test_memory_that_runs_out_between_passes_costs_that_job_alone(clouds: Callable[..., Tensor]) -> None:
    def greedy(gradient: Tensor, state: dict[str, Tensor], step: Step) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    fine = job(clouds(48, 48))
    outcomes = dict(sharing_engine().stream([fine, replace(fine, ascent=greedy), fine]))
    assert [type(outcomes[index]).__name__ for index in range(3)] == ["Dream", "Failure", "Dream"]


def test_memory_that_runs_out_while_gradients_are_taken_in_counts_no_window_twice(
    clouds: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [replace(job(clouds(48, 48, seed), seed=seed)) for seed in range(4)]
    engine = sharing_engine()
    expected = engine.dream(jobs)
    attempts = []

    def make_room(flight: Flight) -> None:
        attempts.append(flight)
        if len(attempts) == 3:
            raise torch.OutOfMemoryError("out of memory")
        plain(flight)

    plain = Flight.make_room
    monkeypatch.setattr(Flight, "make_room", make_room)
    dreams = sharing_engine().dream(jobs)
    for dream, other in zip(dreams, expected, strict=True):
        assert (dream.pixels - other.pixels).abs().mean() < 1 / 255


def test_the_cost_of_a_pass_is_measured_not_guessed(engine: Engine) -> None:
    def cost(tap: str) -> float:
        return engine.runner(job(torch.rand(3, 64, 64), network=DREAMNET, tap=tap).program).bytes_per_pixel

    # conv1 alone keeps its input (12 bytes per pixel) and 32 channels at half the scale (32 bytes).
    assert 44 <= cost("conv1") < cost("mixed3b") < cost("mixed5b") < 2000


@pytest.mark.parametrize("tile_px", [None, 64])
def test_nothing_in_the_step_loop_waits_for_the_device(clouds: Callable[..., Tensor], tile_px: int | None) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Waits(TorchDispatchMode):
        """Counts what makes the host wait: values read by ``.item()``, ``bool()``, ``.tolist()`` or indexing."""

        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
                self.count += 1
            return func(*args, **(kwargs or {}))

    def waits(steps: int) -> int:
        engine = sharing_engine() if tile_px is None else sharing_engine(tile_px=tile_px)
        program = Program(network=TINY, objective=layer_l2("relu2"))
        mask = torch.ones(1, 70, 90)
        schedule = Schedule(octaves=2, steps=steps, stop_score=1e9, margin_px=4)
        jobs = [
            DreamJob(pixels=clouds(70, 90, seed), program=program, schedule=schedule, mask=mask, seed=seed)
            for seed in range(3)
        ]
        list(engine.stream(jobs[:1]))  # the network is made ready
        with Waits() as counted:
            list(engine.stream(jobs))
        return counted.count

    assert waits(steps=9) == waits(steps=2)
