"""The built-in filters do what their help says, at odd sizes, to each picture by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepdream_plugins import FilterContext, load_catalogue
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


def test_vignette_darkens_the_corners_evenly_and_not_the_centre() -> None:
    result = run("vignette", torch.ones(1, 3, 41, 61), strength=0.5, softness=0.7)
    assert result[0, 0, 20, 30] == 1
    assert 0.5 < result[0, 0, 0, 0] < 0.55
    torch.testing.assert_close(result, result.flip(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(result, result.flip(3), rtol=0, atol=1e-6)
    outwards = result[0, 0, 20, 30:].diff()
    assert (outwards <= 0).all()
