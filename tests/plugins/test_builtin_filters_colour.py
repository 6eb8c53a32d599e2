"""The built-in filters that mix with the source, change colours, or light: they do what their help says."""

from __future__ import annotations

from pathlib import Path

import kornia
import numpy as np
import pytest
import torch
from kornia.color import rgb_to_lab
from PIL import Image
from torch import Tensor

from deepdream_engine.errors import BadOption
from tests.plugins.filter_runs import luma, pictures, run


def ramp(height: int = 48, width: int = 64) -> Tensor:
    """Grey from black on the left to white on the right."""
    return torch.linspace(0, 1, width).expand(1, 3, height, width).contiguous()


def test_blend_goes_from_the_dream_to_the_source() -> None:
    dream, source = pictures(5, 7), pictures(5, 7, 2)
    assert torch.equal(run("blend", dream, source, amount=0), dream)
    torch.testing.assert_close(run("blend", dream, source, amount=1), source)
    torch.testing.assert_close(run("blend", dream, source, amount=0.25), 0.75 * dream + 0.25 * source)


@pytest.mark.parametrize("by", ["source", "dream"])
def test_blend_by_light_shows_the_dream_where_it_is_bright(by: str) -> None:
    dream, source = pictures(5, 7), pictures(5, 7, 2)
    shown = luma(dream if by == "dream" else source)[:, None]
    torch.testing.assert_close(run("blend", dream, source, amount=1, by=by), source.lerp(dream, shown))
    halfway = run("blend", dream, source, amount=0.5, by=by, invert=True)
    torch.testing.assert_close(halfway, dream.lerp(source, 0.5 * shown))


def grey(path: Path, columns: list[int], alpha: list[int] | None = None) -> str:
    """Save a row of pixels as a picture."""
    plane = np.array([columns], np.uint8)
    bands = [plane] * 3 if alpha is None else [plane] * 3 + [np.array([alpha], np.uint8)]
    Image.fromarray(np.stack(bands, axis=-1)).save(path)
    return str(path)


def test_blend_by_a_mask_shows_the_dream_where_it_is_white(tmp_path: Path) -> None:
    dream, source = pictures(6, 40), pictures(6, 40, 2)
    mask = grey(tmp_path / "mask.png", [255, 0])  # stretched to any shape
    result = run("blend", dream, source, amount=1, mask=mask)
    torch.testing.assert_close(result[..., :10], dream[..., :10])
    torch.testing.assert_close(result[..., 30:], source[..., 30:])
    inverse = run("blend", dream, source, amount=1, mask=mask, invert=True)
    torch.testing.assert_close(inverse + result, dream + source)
    both = run("blend", dream, source, amount=1, mask=mask, by="source")
    torch.testing.assert_close(both[..., :10], source.lerp(dream, luma(source)[:, None])[..., :10])
    torch.testing.assert_close(both[..., 30:], source[..., 30:])


def test_a_mask_may_be_drawn_in_its_transparency(tmp_path: Path) -> None:
    dream, source = pictures(6, 40), pictures(6, 40, 2)
    black = grey(tmp_path / "black.png", [0, 0], [255, 0])
    painted = grey(tmp_path / "painted.png", [255, 100], [255, 0])
    for mask in (black, painted):
        result = run("blend", dream, source, amount=1, mask=mask)
        torch.testing.assert_close(result[..., :10], dream[..., :10])
        torch.testing.assert_close(result[..., 30:], source[..., 30:])


def test_a_mask_that_is_gone_or_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name in ("gone.png", "text.png"):
        with pytest.raises(BadOption, match=name):
            run("blend", pictures(5, 7), mask=str(tmp_path / name))


def test_keep_colours_has_the_light_of_the_dream_and_the_hue_of_the_source() -> None:
    dream, source = pictures(33, 51), pictures(33, 51, 2)
    result = run("keep_colours", dream, source)
    torch.testing.assert_close(luma(result), luma(dream), rtol=0, atol=1e-5)
    chroma, wanted = result - luma(result)[:, None], source - luma(source)[:, None]
    cosine = torch.nn.functional.cosine_similarity(chroma, wanted, dim=1)
    assert (cosine[chroma.norm(dim=1) > 0.01] > 0.999).all()
    dull = torch.full_like(source, 0.3)
    torch.testing.assert_close(run("keep_colours", dream, dull), luma(dream)[:, None].expand(-1, 3, -1, -1))


def test_keep_colours_in_lab_has_the_lightness_of_the_dream_and_the_hue_of_the_source() -> None:
    dream, source = pictures(33, 51), pictures(33, 51, 2)
    result, before, model = (
        rgb_to_lab(each) for each in (run("keep_colours", dream, source, space="lab"), dream, source)
    )
    torch.testing.assert_close(result[:, 0], before[:, 0], rtol=0, atol=0.05)
    kept = (result[:, 1:] - model[:, 1:]).norm(dim=1) < 0.1
    assert kept.float().mean() > 0.3  # where the light of the one can have the colour of the other
    # Elsewhere there is less colour, of about the same hue.
    cosine = torch.nn.functional.cosine_similarity(result[:, 1:], model[:, 1:], dim=1)
    assert cosine[result[:, 1:].norm(dim=1) > 5].quantile(0.01) > 0.9


@pytest.mark.parametrize("space", ["ycbcr", "lab"])
def test_keep_colours_changes_nothing_where_nothing_differs(space: str) -> None:
    dream, source = pictures(33, 51), pictures(33, 51, 2)
    tolerance = 1e-5 if space == "ycbcr" else 2e-3
    nothing = run("keep_colours", dream, source, amount=0, space=space)
    torch.testing.assert_close(nothing, dream, rtol=0, atol=tolerance)
    same = run("keep_colours", source, source, space=space)
    torch.testing.assert_close(same, source, rtol=0, atol=tolerance)


def test_match_histogram_gives_each_channel_the_values_of_the_source() -> None:
    dream, source = pictures(40, 50) * 0.3, pictures(40, 50, 2) ** 2
    result = run("match_histogram", dream, source)
    expected = source.flatten(2).sort(dim=2).values
    torch.testing.assert_close(result.flatten(2).sort(dim=2).values, expected, rtol=0, atol=0.01)
    order = dream[0, 1].flatten().argsort()
    assert (result[0, 1].flatten()[order].diff() >= -1e-6).all()
    half = run("match_histogram", dream, source, amount=0.5)
    torch.testing.assert_close(half, (dream + result) / 2)


def test_match_histogram_of_the_light_leaves_the_colours() -> None:
    dream = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1) * (0.5 + 0.5 * ramp())
    source = 0.6 + 0.2 * ramp()
    result = run("match_histogram", dream, source, of="light")
    assert luma(result).aminmax() == pytest.approx((0.6, 0.8), abs=0.01)
    before = dream - luma(dream)[:, None]
    torch.testing.assert_close(result - luma(result)[:, None], before, rtol=0, atol=1e-4)


def test_match_histogram_takes_the_tones_of_another_picture(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (9, 4), (200, 20, 10)).save(path)
    result = run("match_histogram", pictures(20, 30), picture=str(path))
    wanted = torch.tensor([200, 20, 10]).view(1, 3, 1, 1) / 255
    torch.testing.assert_close(result, wanted.expand_as(result), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("limit", "tiles"), [(1.0, 2), (2.0, 4), (4.0, 2), (8.0, 4)])
def test_local_contrast_is_clahe_but_for_the_steps_of_256_levels(limit: float, tiles: int) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 9, 640), torch.linspace(0, 7, 640), indexing="ij")
    grey = (0.4 + 0.15 * torch.sin(x) * torch.cos(y) + 0.1 * torch.sin(3 * x + y))[None, None].expand(1, 3, -1, -1)
    result = run("local_contrast", grey, limit=limit, tiles=tiles, amount=1)[:, :1]
    reference = kornia.enhance.equalize_clahe(grey[:, :1], limit, (tiles, tiles))
    levels = (result - reference).abs() * 255
    assert levels.max() < 1.5 + limit  # one of its steps, and the pixels that do not go evenly into its bins
    assert levels.mean() < 0.5 + limit / 4
    assert reference.std() > 1.2 * grey.std()


def test_local_contrast_makes_no_steps_in_a_smooth_sky() -> None:
    sky = 0.5 + 0.05 * ramp(300, 300)
    result = run("local_contrast", sky, limit=8, amount=1)[0, 0]
    stepped = kornia.enhance.equalize_clahe(sky[:, :1], 8.0, (8, 8))[0, 0]
    most, steps_most = (plane.diff(dim=1).abs().max() for plane in (result, stepped))
    assert most < 9.1 * (0.05 / 299)  # as steep as the limit and what is spread over all bins allow
    assert steps_most > 5 * most
    assert result.std() > 1.2 * sky.std()


def test_local_contrast_leaves_even_areas_and_the_hue() -> None:
    even = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    assert (run("local_contrast", even, amount=1) - even).abs().max() < 2 / 255
    given = 0.3 + 0.4 * pictures(64, 64)
    result = run("local_contrast", given, amount=1)
    before, after = (each - luma(each)[:, None] for each in (given, result))
    cosine = torch.nn.functional.cosine_similarity(before, after, dim=1)
    assert (cosine[after.norm(dim=1) > 0.01] > 0.999).all()
    torch.testing.assert_close(run("local_contrast", given, amount=0), given, rtol=0, atol=1e-6)


def test_tone_leaves_a_picture_as_it_is_by_default() -> None:
    given = pictures(20, 30)
    assert torch.equal(run("tone", given), given)


def test_tone_does_each_of_its_things() -> None:
    given = 0.2 + 0.4 * pictures(20, 30)
    torch.testing.assert_close(run("tone", given, brightness=1.5), given * 1.5)
    torch.testing.assert_close(run("tone", given, contrast=0.5), 0.25 + given / 2)
    torch.testing.assert_close(run("tone", given, gamma=2), given.sqrt())
    colourless = run("tone", given, saturation=0)
    assert (colourless.amax(dim=1) - colourless.amin(dim=1)).max() < 1e-6
    torch.testing.assert_close(colourless[:, 0], luma(given), rtol=0, atol=1e-3)
    for warmth in (1, -1):
        tinted = run("tone", given, warmth=warmth)
        assert ((tinted - given)[:, 0] * warmth > 0).all()
        assert ((tinted - given)[:, 2] * warmth < 0).all()
        torch.testing.assert_close(luma(tinted), luma(given), rtol=0, atol=1e-5)


def test_tone_and_local_contrast_work_before_the_dream_too() -> None:
    given = pictures(20, 30)
    assert torch.equal(run("tone", given, gamma=2, before=True), run("tone", given, gamma=2))
    assert torch.equal(run("local_contrast", given, before=True), run("local_contrast", given))


def test_vignette_darkens_the_corners_evenly_and_not_the_centre() -> None:
    result = run("vignette", torch.ones(1, 3, 41, 61), strength=0.5, softness=0.7)
    assert result[0, 0, 20, 30] == 1
    assert 0.5 < result[0, 0, 0, 0] < 0.55
    torch.testing.assert_close(result, result.flip(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(result, result.flip(3), rtol=0, atol=1e-6)
    outwards = result[0, 0, 20, 30:].diff()
    assert (outwards <= 0).all()
