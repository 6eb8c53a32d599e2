"""What a dream is: the score rises, the picture stays a picture, and neighbours do not matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepdream_engine import Dream, DreamJob, Engine, Failure, Objective, Program, Schedule
from deepdream_engine.device import Device
from deepdream_engine.dreaming import dream_batch
from deepdream_engine.errors import BadOption, BadPicture, Cancelled, OutOfMemory, UnknownTap
from deepdream_engine.network import LoadedNetwork, TappedNetwork
from deepdream_engine.pyramid import octave_sizes
from deepdream_engine.tiling import by_tiles, tile_grid

from .conftest import DREAMNET, TINY, job, layer_l2


@pytest.mark.parametrize("tap", ["conv2", "mixed3b", "mixed4c", "mixed5b"])
def test_the_score_rises(engine: Engine, clouds: Callable[..., Tensor], tap: str) -> None:
    picture = clouds(96, 128)
    (dream,) = engine.dream([job(picture, network=DREAMNET, tap=tap, steps=4)])
    network = TappedNetwork(LoadedNetwork(DREAMNET), (tap,)).to(torch.float32)
    before, after = (network(x[None])[tap].square().sum() for x in (picture, dream.pixels))
    assert after > 1.5 * before


def test_a_dream_is_a_picture_of_the_same_size_in_range(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    for size in ((33, 70), (64, 41)):
        (dream,) = engine.dream([job(clouds(*size), steps=5)])
        assert dream.pixels.shape == (3, *size)
        assert dream.pixels.dtype == torch.float32
        assert dream.pixels.min() >= 0
        assert dream.pixels.max() <= 1


def test_the_same_job_gives_the_same_dream_and_another_seed_another(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    picture = clouds(48, 48)
    one, again, other = engine.dream([job(picture), job(picture), job(picture, seed=1)])
    assert torch.equal(one.pixels, again.pixels)
    assert not torch.equal(one.pixels, other.pixels)


def test_alone_or_among_seven_others_of_other_sizes_the_dream_is_the_same(
    engine: Engine, clouds: Callable[..., Tensor]
) -> None:
    sizes = [(96, 128), (128, 96), (96, 128), (70, 111), (96, 128), (64, 64), (150, 40), (96, 128)]
    jobs = [
        job(clouds(*size, seed), network=DREAMNET, tap="mixed4c", seed=seed, octaves=3, steps=10)
        for seed, size in enumerate(sizes)
    ]
    together = engine.dream(jobs)
    for index in (0, 3, 7):
        (alone,) = engine.dream([jobs[index]])
        assert (alone.pixels - together[index].pixels).abs().max() <= 1 / 255


def test_pictures_that_share_passes_do_not_touch_each_other(clouds: Callable[..., Tensor]) -> None:
    # float64 shows coupling and hides rounding, which depends on the batch's size and grows in float32.
    device = Device("cpu")
    program = Program(
        network=DREAMNET,
        objective=layer_l2("mixed4c"),
        schedule=Schedule(octaves=2, steps=5),
        precision="fp64",
    )
    jobs = [
        DreamJob(
            pixels=clouds(64, 80, seed),
            program=program,
            seed=seed,
            step_size=1 + seed / 4,
            jitter_px=8 * seed,
        )
        for seed in range(8)
    ]
    network = TappedNetwork(LoadedNetwork(DREAMNET), ("mixed4c",)).on(device, "fp64")
    together = dream_batch(jobs, network, device, tile_px=512, after_step=lambda _: None)
    for index in (0, 5):
        (alone,) = dream_batch([jobs[index]], network, device, tile_px=512, after_step=lambda _: None)
        assert isinstance(alone, Dream)
        assert isinstance(shared := together[index], Dream)
        assert (alone.pixels - shared.pixels).abs().max() < 1e-6


def test_step_size_is_in_levels_per_step(engine: Engine) -> None:
    grey = torch.full((3, 40, 40), 0.5) + 0.01 * torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(0))
    (dream,) = engine.dream([replace(job(grey, octaves=1, steps=1), step_size=3.0)])
    assert (dream.pixels - grey).abs().mean().item() * 255 == pytest.approx(3.0, rel=0.02)


def test_a_margin_keeps_opposite_borders_from_meeting(engine: Engine) -> None:
    # Black above, white below: the cyclic shift joins the two at the border, which excites edge detectors there.
    picture = torch.linspace(0.1, 0.9, 96)[None, :, None].expand(3, 96, 96).contiguous()

    def border_change(margin: int) -> float:
        (dream,) = engine.dream([job(picture, network=DREAMNET, tap="conv2", octaves=1, steps=4, margin_px=margin)])
        change = (dream.pixels - picture).abs().mean(dim=(0, 2))
        return (change[:4].mean() / change[40:56].mean()).item()

    assert border_change(32) < 0.5 * border_change(0)


def test_octaves_smaller_than_the_network_can_see_are_left_out() -> None:
    assert octave_sizes((100, 60), Schedule(octaves=9, octave_scale=2.0), min_side_px=20) == [
        (50, 30),
        (100, 60),
    ]


def test_a_picture_smaller_than_the_networks_minimum_is_refused(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    with pytest.raises(BadPicture, match=r"7 × 30 pixels; model 'tiny' needs at least 8"):
        engine.dream([job(clouds(30, 7))])


class TestTiles:
    @pytest.mark.parametrize("size", [(100, 100), (101, 257), (64, 640), (1000, 3), (513, 512)])
    def test_cover_every_pixel_once_within_the_bound(self, size: tuple[int, int]) -> None:
        seen = torch.zeros(size)
        for rows, columns in tile_grid(size, 96):
            seen[rows, columns] += 1
            assert seen[rows, columns].numel() <= 96 * 96
        assert torch.equal(seen, torch.ones(size))

    def test_every_pixel_gets_gradient(self) -> None:
        canvas = torch.rand(2, 3, 150, 203)
        assert torch.equal(by_tiles(lambda window: window * 2, canvas, 64), canvas * 2)

    def test_leave_no_seams(self, clouds: Callable[..., Tensor]) -> None:
        picture = clouds(160, 200)
        dreams = [
            Engine(device="cpu", tile_px=tile).dream([job(picture, network=DREAMNET, tap="mixed3b", steps=12)])[0]
            for tile in (64, 512)
        ]

        def seam(pixels: Tensor) -> float:
            """Gradient across the rows where tile borders would lie without shifts, over that across all rows."""
            steps = pixels.diff(dim=1).abs().mean(dim=(0, 2))
            rows = [stop.stop - 1 for stop, _ in tile_grid((160, 200), 64)[::4]][:-1]
            return (steps[rows].mean() / steps.mean()).item()

        assert seam(dreams[0].pixels) < 1.25 * seam(dreams[1].pixels)


class TestFailures:
    def test_a_bad_picture_leaves_its_neighbours_alone(self, engine: Engine, clouds: Callable[..., Tensor]) -> None:
        poison = torch.full((3, 48, 48), torch.nan)
        jobs = [job(clouds(48, 48, 1)), job(poison), job(clouds(48, 48, 2)), job(clouds(5, 48))]
        outcomes = dict(engine.stream(jobs))
        assert [type(outcomes[index]) for index in range(4)] == [Dream, Failure, Dream, Failure]
        assert isinstance(failure := outcomes[1], Failure)
        assert "not finite" in str(failure.error)

    def test_a_gradient_that_is_zero_everywhere_is_an_error(self, engine: Engine) -> None:
        dead = Objective(key="dead", taps=("relu1",), score=lambda acts, _: acts["relu1"].sum((1, 2, 3)) * 0)
        program = Program(network=TINY, objective=dead, schedule=Schedule(octaves=1, steps=2))
        with pytest.raises(BadOption, match="zero everywhere"):
            engine.dream([DreamJob(pixels=torch.rand(3, 32, 32), program=program)])

    def test_an_objective_that_raises_costs_its_own_jobs_only(
        self, engine: Engine, clouds: Callable[..., Tensor]
    ) -> None:
        def broken(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
            raise KeyError("colour")

        program = Program(network=TINY, objective=Objective(key="broken", taps=("relu1",), score=broken))
        outcomes = dict(engine.stream([DreamJob(pixels=clouds(32, 32), program=program), job(clouds(32, 32))]))
        assert isinstance(failure := outcomes[0], Failure)
        assert "KeyError: 'colour'" in str(failure.error)
        assert isinstance(outcomes[1], Dream)

    def test_an_unknown_tap_is_a_bad_option(self, engine: Engine, clouds: Callable[..., Tensor]) -> None:
        with pytest.raises(BadOption, match="unknown layer of model 'tiny' 'relu9'"):
            engine.dream([job(clouds(32, 32), tap="relu9")])

    def test_a_bad_tap_of_one_model_leaves_the_others_in_the_cache_usable(self, clouds: Callable[..., Tensor]) -> None:
        engine = Engine(device="cpu")
        networks = [replace(TINY, key=letter, name=letter) for letter in "ABCDE"]
        picture = clouds(24, 24)
        for network in networks[:4]:
            engine.dream([job(picture, network=network, steps=1)])
        with pytest.raises(UnknownTap):
            engine.dream([job(picture, network=networks[4], tap="nowhere")])
        for network in networks:
            engine.dream([job(picture, network=network, steps=1)])

    def test_out_of_memory_halves_the_tile_until_it_fits(self, clouds: Callable[..., Tensor]) -> None:
        windows = []

        def hungry(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
            windows.append(activations["relu1"].shape[-2:].numel())
            if windows[-1] > 300 * 300:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return activations["relu1"].square().sum((1, 2, 3))

        program = Program(
            network=TINY,
            objective=Objective(key="hungry", taps=("relu1",), score=hungry),
            schedule=Schedule(octaves=1, steps=1),
        )
        engine = Engine(device="cpu", tile_px=1024)
        (dream,) = engine.dream([DreamJob(pixels=clouds(400, 500), program=program)])
        assert dream.pixels.shape == (3, 400, 500)
        assert windows[-1] <= 256 * 256

    def test_memory_that_never_suffices_is_one_clear_failure(self, clouds: Callable[..., Tensor]) -> None:
        def starving(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
            raise MemoryError

        program = Program(network=TINY, objective=Objective(key="starving", taps=("relu1",), score=starving))
        with pytest.raises(OutOfMemory, match=r"out of memory on cpu.*tile_px"):
            Engine(device="cpu").dream([DreamJob(pixels=clouds(64, 64), program=program)])


def test_a_caller_can_stop_between_steps(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    fractions: list[float] = []
    stream = engine.stream(
        [job(clouds(48, 48), steps=20)],
        on_progress=lambda index, fraction: fractions.append(fraction),
        should_stop=lambda: len(fractions) >= 3,
    )
    with pytest.raises(Cancelled):
        next(stream)
    assert len(fractions) == 3


def test_progress_rises_to_one(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    fractions: list[float] = []
    engine.dream([job(clouds(48, 48), octaves=3, steps=4)], on_progress=lambda _, fraction: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert len(fractions) == 12
    assert fractions[-1] == pytest.approx(1)


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_options_that_vary_per_picture_reach_the_score_as_a_column(
    clouds: Callable[..., Tensor], precision: str
) -> None:
    seen: list[Tensor] = []

    def score(activations: Mapping[str, Tensor], options: Mapping[str, object]) -> Tensor:
        weight = options["weight"]
        assert isinstance(weight, Tensor)
        seen.append(weight)
        return activations["relu1"].mean((1, 2, 3)).lerp(activations["relu1"].square().mean((1, 2, 3)), weight)

    program = Program(
        network=TINY,
        objective=Objective(key="weighted", taps=("relu1",), score=score),
        schedule=Schedule(octaves=1, steps=1),
        precision=precision,
    )
    jobs = [DreamJob(pixels=clouds(16, 16, seed), program=program, options={"weight": seed / 2}) for seed in (0, 1)]
    device = Device("cpu")
    network = TappedNetwork(LoadedNetwork(TINY), ("relu1",)).on(device, precision)
    outcomes = dream_batch(jobs, network, device, tile_px=64, after_step=lambda _: None)
    assert all(isinstance(outcome, Dream) for outcome in outcomes)
    assert seen[0].tolist() == [0.0, 0.5]


def test_bf16_is_another_picture_of_the_same_dream(engine: Engine, clouds: Callable[..., Tensor]) -> None:
    picture = clouds(96, 96)
    exact = job(picture, network=DREAMNET, tap="mixed4c", octaves=1, steps=3)
    reduced = replace(exact, program=replace(exact.program, precision="bf16"))
    one, other = (engine.dream([each])[0].pixels for each in (exact, reduced))
    moved = (one - picture).abs().mean()
    assert 0 < (one - other).abs().mean() < 0.6 * moved
