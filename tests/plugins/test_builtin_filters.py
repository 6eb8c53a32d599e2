"""The built-in filters do what their help says, at odd sizes, to each picture by itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.utils._python_dispatch import TorchDispatchMode

from deepdream_plugins import FilterContext, load_catalogue
from deepdream_plugins.builtin import filters
from deepdream_plugins.options import fill

CATALOGUE = load_catalogue()
ODD_SIZES = [(1, 1), (1, 7), (9, 2), (33, 51)]


def pictures(height: int, width: int, seed: int = 1, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def run(name: str, given: Tensor, source: Tensor | None = None, **options: float) -> Tensor:
    shelf = CATALOGUE.prefilters if name in CATALOGUE.prefilters else CATALOGUE.postfilters
    spec = shelf[name].spec
    filled = fill(spec.options, options, lambda *keys: "test", of=name)
    context = FilterContext(source=given if source is None else source, seed=1)
    return spec.apply(given, context, **filled)


def luma(given: Tensor) -> Tensor:
    return (given * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)


@pytest.mark.parametrize("name", CATALOGUE.postfilters)
@pytest.mark.parametrize(("height", "width"), ODD_SIZES)
def test_any_size_is_kept_and_alone_equals_among_others(name: str, height: int, width: int) -> None:
    given, source = pictures(height, width, 1, 3), pictures(height, width, 2, 3)
    together = run(name, given, source)
    assert together.shape == given.shape
    assert together.isfinite().all()
    alone = run(name, given[1:2], source[1:2])
    torch.testing.assert_close(alone, together[1:2], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(40, 100, (20, 50)), (101, 33, (50, 16)), (50, 20, (50, 20)), (1, 1000, (1, 50)), (7, 7, (7, 7))],
)
def test_resize_shrinks_to_the_longest_side_and_never_enlarges(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    assert run("resize", pictures(height, width), longest_side=50).shape[-2:] == expected


@pytest.mark.parametrize(("side", "size"), [(0, (40, 31)), (64, (64, 64))])
def test_noise_is_even_around_its_level_and_knows_nothing_of_the_picture(side: int, size: tuple[int, int]) -> None:
    noise = run("noise", pictures(40, 31), side=side, level=100.5, spread=1)
    assert noise.shape == (1, 3, *size)
    levels = noise * 255
    assert 100 <= levels.min() < 100.01
    assert 100.99 < levels.max() <= 101.001
    assert levels.mean().item() == pytest.approx(100.5, abs=0.03)
    assert torch.equal(noise, run("noise", pictures(40, 31, seed=2), side=side, level=100.5, spread=1))


def test_noise_is_drawn_from_the_seed_and_clipped_at_black_and_white() -> None:
    spec = CATALOGUE.prefilters["noise"].spec
    drawn = [
        spec.apply(given, FilterContext(source=given, seed=seed), side=0, level=250, spread=100)
        for given in [pictures(20, 30)]
        for seed in (1, 2)
    ]
    assert not torch.equal(*drawn)
    assert (drawn[0] == 1).float().mean().item() == pytest.approx(0.45, abs=0.05)
    assert drawn[0].max() == 1


def test_resize_does_not_alias() -> None:
    stripes = (torch.arange(200) % 2).float().expand(1, 3, 200, 200)
    inner = run("resize", stripes, longest_side=70)[..., 5:-5]
    assert (inner - 0.5).abs().max() < 0.1


def test_blend_goes_from_the_dream_to_the_source() -> None:
    dream, source = pictures(5, 7), pictures(5, 7, 2)
    assert torch.equal(run("blend", dream, source, amount=0), dream)
    torch.testing.assert_close(run("blend", dream, source, amount=1), source)
    torch.testing.assert_close(run("blend", dream, source, amount=0.25), 0.75 * dream + 0.25 * source)


def test_keep_colours_has_the_light_of_the_dream_and_the_hue_of_the_source() -> None:
    dream, source = pictures(33, 51), pictures(33, 51, 2)
    result = run("keep_colours", dream, source)
    assert result.min() >= -1e-6
    assert result.max() <= 1 + 1e-6
    torch.testing.assert_close(luma(result), luma(dream), rtol=0, atol=1e-5)
    chroma, wanted = result - luma(result)[:, None], source - luma(source)[:, None]
    cosine = torch.nn.functional.cosine_similarity(chroma, wanted, dim=1)
    assert (cosine[chroma.norm(dim=1) > 0.01] > 0.999).all()
    grey = torch.full_like(source, 0.3)
    torch.testing.assert_close(run("keep_colours", dream, grey), luma(dream)[:, None].expand(-1, 3, -1, -1))
    torch.testing.assert_close(run("keep_colours", dream, source, amount=0), dream)
    torch.testing.assert_close(run("keep_colours", source, source), source)


def test_sharpen_steepens_edges_and_leaves_flat_areas() -> None:
    edge = torch.where(torch.arange(41) < 20, 0.3, 0.7).expand(1, 3, 31, 41)
    result = run("sharpen", edge, radius=2, amount=1)
    assert result[..., 20].mean() > 0.75
    assert result[..., 19].mean() < 0.25
    torch.testing.assert_close(result[..., :5], edge[..., :5], rtol=0, atol=1e-3)
    torch.testing.assert_close(run("sharpen", edge, amount=0), edge)


def test_sharpen_is_the_unsharp_mask_of_a_gaussian() -> None:
    given = 0.4 + 0.2 * pictures(23, 31, 1, 2)
    for radius, reach in ((0.3, 1), (1.5, 5), (8, 24), (40, 120)):  # the last reaches far over every border
        line = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * radius**2))
        kernel = (line[:, None] * line / line.sum() ** 2).expand(3, 1, -1, -1)
        blurred = conv2d(pad(given, (reach,) * 4, mode="replicate"), kernel, groups=3)
        wanted = (given + 0.6 * (given - blurred)).clamp(0, 1)
        assert reach == math.ceil(3 * radius)
        torch.testing.assert_close(run("sharpen", given, radius=radius, amount=0.6), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["keep_colours", "sharpen", "vignette"])
@pytest.mark.parametrize(("height", "width"), [*ODD_SIZES, (50, 7)])
@pytest.mark.parametrize(("elements", "block_width"), [(1, 1), (200, 5), (1000, 33)])
def test_working_block_by_block_leaves_no_trace(
    name: str, height: int, width: int, elements: int, block_width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, source = pictures(height, width, 1, 2), pictures(height, width, 2, 2)
    whole = run(name, given, source)
    monkeypatch.setattr(filters, "_SERIAL", elements)
    monkeypatch.setattr(filters, "_BLOCK_WIDTH", block_width)
    torch.testing.assert_close(run(name, given, source), whole, rtol=0, atol=3e-7)


class Large(TorchDispatchMode):
    """Keeps every tensor of at least ``numel`` elements that is made, but no views."""

    def __init__(self, numel: int, *known: Tensor) -> None:
        super().__init__()
        self._numel = numel
        self._known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.made: dict[int, Tensor] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor) and tensor.numel() >= self._numel:
                place = tensor.untyped_storage().data_ptr()
                if place not in self._known:
                    self.made[place] = tensor
        return result


@pytest.mark.parametrize("name", CATALOGUE.postfilters)
def test_a_filter_makes_one_tensor_of_the_pictures_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "_SERIAL", 600)
    monkeypatch.setattr(filters, "_BLOCK_WIDTH", 30)
    given, source = pictures(80, 60), pictures(80, 60, 2)
    with Large(given[:, :1].numel(), given, source) as large:
        run(name, given, source)
    assert len(large.made) == 1


def test_the_filters_clamp_what_they_return() -> None:
    given, source = pictures(33, 51).round(), pictures(33, 51, 2)
    for name in CATALOGUE.postfilters:
        result = run(name, given, source)
        assert result.min() >= 0
        assert result.max() <= 1


def test_vignette_darkens_the_corners_evenly_and_not_the_centre() -> None:
    result = run("vignette", torch.ones(1, 3, 41, 61), strength=0.5, softness=0.7)
    assert result[0, 0, 20, 30] == 1
    assert 0.5 < result[0, 0, 0, 0] < 0.55
    torch.testing.assert_close(result, result.flip(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(result, result.flip(3), rtol=0, atol=1e-6)
    outwards = result[0, 0, 20, 30:].diff()
    assert (outwards <= 0).all()
