"""The built-in filters of detail, grain and text do what their help says."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from PIL import ImageFont
from torch.nn.functional import conv2d, pad

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.filters import watermark
from tests.plugins.filter_runs import pictures, run


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
    drawn = [run("noise", pictures(20, 30), seed=seed, level=250, spread=100) for seed in (1, 2)]
    assert not torch.equal(*drawn)
    assert (drawn[0] == 1).float().mean().item() == pytest.approx(0.45, abs=0.05)
    assert drawn[0].max() == 1


@pytest.mark.parametrize(("falloff", "side"), [(1.0, 128), (2.0, 90), (0.5, 0)])
def test_noise_with_a_falloff_is_weaker_in_detail_and_deviates_as_much_as_without(falloff: float, side: int) -> None:
    spread = 60
    noise = run("noise", pictures(80, 121), side=side, level=100, spread=spread, falloff=falloff)
    height, width = noise.shape[-2:]
    assert (height, width) == ((side, side) if side else (80, 121))
    assert (noise.mean(dim=(2, 3)) * 255).flatten().tolist() == pytest.approx([100] * 3, abs=0.2)
    assert noise.std().item() * 255 == pytest.approx(spread / math.sqrt(12), rel=0.02)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    amplitude = torch.fft.rfft2(noise[0]).abs().square().mean(dim=0).sqrt()
    bands = [(frequency >= low) & (frequency < 2 * low) for low in (0.03, 0.06, 0.12, 0.24)]
    levels = [amplitude[band].square().mean().sqrt().log2().item() for band in bands]
    assert [low - high for low, high in itertools.pairwise(levels)] == pytest.approx([falloff] * 3, abs=0.2)


def test_noise_of_one_pixel_has_no_detail_to_be_weaker() -> None:
    assert run("noise", pictures(5, 5), side=1, level=51, spread=60, falloff=1).flatten().tolist() == pytest.approx(
        [0.2] * 3
    )


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


@pytest.mark.parametrize("size", [0.5, 1.5, 6])
def test_film_grain_is_as_strong_as_it_says_in_the_mid_tones_and_absent_on_black_and_white(size: float) -> None:
    grey = torch.full((1, 3, 300, 300), 0.5)
    grain = (run("film_grain", grey, strength=10, size=size) - grey) * 255
    assert grain.std().item() == pytest.approx(10, rel=0.08)
    assert grain.mean().abs() < 1
    borders = torch.cat([grain[0, 0, 0], grain[0, 0, -1], grain[0, 0, :, 0], grain[0, 0, :, -1]])
    assert borders.std().item() == pytest.approx(10, rel=0.35)
    shadows = run("film_grain", torch.full_like(grey, 0.1), strength=10, size=size) - 0.1
    assert (shadows * 255).std().item() == pytest.approx(10 * 2 * math.sqrt(0.1 * 0.9), rel=0.08)
    for level in (0.0, 1.0):
        flat = torch.full_like(grey, level)
        torch.testing.assert_close(run("film_grain", flat, strength=64, size=size), flat, rtol=0, atol=1e-3)


def test_film_grain_is_as_large_as_it_says() -> None:
    grey = torch.full((1, 3, 300, 300), 0.5)

    def likeness(size: float, px: int) -> float:
        grain = run("film_grain", grey, size=size)[0, 0] - 0.5
        return float(torch.corrcoef(torch.stack([grain[:, :-px].flatten(), grain[:, px:].flatten()]))[0, 1])

    assert abs(likeness(0.5, 2)) < 0.05
    assert likeness(8, 4) > 0.5
    assert abs(likeness(8, 24)) < 0.15


def test_film_grain_has_the_pictures_colours_unless_each_has_its_own() -> None:
    grey = torch.full((1, 3, 60, 60), 0.5)
    alike = run("film_grain", grey)
    assert torch.equal(alike[:, 0], alike[:, 2])
    own = run("film_grain", grey, colour=True)
    assert torch.corrcoef(own[0].flatten(1))[0, 1:].abs().max() < 0.1


def test_film_grain_is_drawn_from_the_seed() -> None:
    given = pictures(20, 30)
    assert torch.equal(run("film_grain", given, seed=2**63 - 1), run("film_grain", given, seed=2**63 - 1))
    assert not torch.equal(run("film_grain", given), run("film_grain", given, seed=2))


CORNERS = {
    "top-left": (slice(0, 50), slice(0, 100)),
    "top-right": (slice(0, 50), slice(100, 200)),
    "bottom-left": (slice(50, 100), slice(0, 100)),
    "bottom-right": (slice(50, 100), slice(100, 200)),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_a_watermark_stands_in_its_corner_and_off_the_border(corner: str) -> None:
    grey = torch.full((1, 3, 100, 200), 0.5)
    changed = (run("watermark", grey, text="No. 7", corner=corner, size=0.15) - grey).abs()
    rows, columns = CORNERS[corner]
    assert changed[..., rows, columns].max() > 0.2
    assert changed[..., rows, columns].sum() == pytest.approx(changed.sum().item())
    assert changed[..., [0, -1], :].max() == 0
    assert changed[..., [0, -1]].max() == 0


@pytest.mark.parametrize("corner", ["top", "bottom", "centre"])
def test_a_watermark_stands_in_the_middle(corner: str) -> None:
    grey = torch.full((1, 3, 100, 200), 0.5)
    changed = (run("watermark", grey, text="HOH", corner=corner, size=0.15) - grey).abs().sum(dim=(0, 1))
    row, column = changed.sum(dim=1), changed.sum(dim=0)
    middle = float((column * torch.arange(200)).sum() / column.sum())
    height = float((row * torch.arange(100)).sum() / row.sum())
    assert middle == pytest.approx(100, abs=2)
    assert {"top": 0 < height < 30, "bottom": 70 < height < 100, "centre": 45 < height < 55}[corner]


@pytest.mark.parametrize(("ink", "ground"), [("white", 1.0), ("white", 0.0), ("black", 1.0), ("black", 0.0)])
def test_a_watermark_is_legible_on_black_and_on_white(ink: str, ground: float) -> None:
    flat = torch.full((1, 3, 200, 300), ground)
    result = run("watermark", flat, text="dream", size=0.2, opacity=0.8, ink=ink)
    assert (result - flat).abs().max() > 0.4
    assert torch.equal(run("watermark", flat, opacity=0), flat)


def test_a_text_that_does_not_fit_is_written_smaller() -> None:
    grey = torch.full((1, 3, 120, 160), 0.5)
    for text in ("a long text that goes far beyond the picture", "line\n" * 9):
        changed = (run("watermark", grey, text=text, size=0.5) - grey).abs()
        assert changed.max() > 0.05
        assert changed[..., [0, -1], :].max() == 0
        assert changed[..., [0, -1]].max() == 0


@pytest.fixture
def plain_font(tmp_path: Path) -> Path:
    """A font file with the letters of English."""
    font = tmp_path / "plain.ttf"
    font.write_bytes(ImageFont.load_default(10).path.getvalue())  # type: ignore[union-attr]
    return font


def test_a_font_is_named_by_its_path(plain_font: Path) -> None:
    grey = torch.full((1, 3, 60, 90), 0.5)
    with_own, with_built_in = (
        run("watermark", grey, size=0.4, font=font).ne(grey).float() for font in (str(plain_font), "")
    )
    assert (with_own * with_built_in).sum() > 0.7 * with_built_in.sum()  # the same font, laid out a little otherwise
    with pytest.raises(BadOption, match=r"font 'none\.ttf' cannot be used"):
        run("watermark", grey, font="none.ttf")


def test_letters_that_a_font_lacks_are_named(plain_font: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match=r"the font '.*plain\.ttf' has no ë ü\. Name one that has"):
        run("watermark", pictures(20, 30), text="Zoë\nMüller", font=str(plain_font))
    monkeypatch.setattr(watermark, "_COMMON", ("none.ttf", str(plain_font)))
    with pytest.raises(BadOption, match=r"the built-in font has no ë"):
        run("watermark", pictures(20, 30), text="Zoë")


def test_letters_that_the_built_in_font_lacks_come_from_a_common_one() -> None:
    grey = torch.full((1, 3, 60, 90), 0.5)
    try:
        ImageFont.truetype(watermark._COMMON[0], 10)
    except OSError:
        pytest.skip(f"this machine has no {watermark._COMMON[0]}")
    with_common = run("watermark", grey, text="Zoë", font=watermark._COMMON[0])
    assert torch.equal(run("watermark", grey, text="Zoë"), with_common)
