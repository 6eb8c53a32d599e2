"""Windows cover a view once, and leave no seams."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepdream_engine import Engine
from deepdream_engine.tiling import Window, cut, paste, windows_of

from .conftest import DREAMNET, job

SEEDS = 8
FADE_PX = 24
sides = st.integers(1, 400)
shifts = st.integers(-900, 900)


@settings(deadline=None)
@given(
    st.tuples(sides, sides),
    st.sampled_from([64, 96, 128, 250]),
    st.sampled_from([1, 16, 64]),
    st.tuples(shifts, shifts),
)
def test_cut_and_pasted_every_pixel_comes_back_to_its_place(
    size: tuple[int, int], tile_px: int, granule_px: int, shift: tuple[int, int]
) -> None:
    view = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, *size)
    back = torch.zeros_like(view)
    windows = windows_of(size, tile_px, granule_px)
    assert sum(window.rows.core * window.columns.core for window in windows) == size[0] * size[1]
    assert len({window.size for window in windows}) == 1
    for window in windows:
        out = torch.empty(1, *window.size)
        cut(view, window, shift, out)
        paste(out, window, shift, back)
    torch.testing.assert_close(back, view, rtol=1e-5, atol=1e-5)


def test_a_window_shows_the_shifted_view_and_goes_on_at_the_opposite_border() -> None:
    view = torch.rand(3, 30, 40)
    (window,) = windows_of((30, 40), 64, 16)
    out = torch.empty(3, *window.size)
    cut(view, window, (7, -5), out)
    rolled = view.roll((7, -5), dims=(1, 2))
    assert out.shape == (3, 32, 48)
    top, left = window.rows.core_offset, window.columns.core_offset
    assert torch.equal(out[:, top : top + 30, left : left + 40], rolled)
    assert torch.equal(out[:, 0, left : left + 40], rolled[:, -top])


@pytest.mark.parametrize(("size", "tile_px"), [((513, 512), 512), ((4000, 6000), 1024), ((100, 9000), 768)])
def test_windows_stay_within_the_tile(size: tuple[int, int], tile_px: int) -> None:
    for window in windows_of(size, tile_px, 1):
        assert window.size[0] * window.size[1] <= tile_px * tile_px


def seams(picture: Tensor, dream: Tensor, axis: int, borders: list[int]) -> tuple[float, float]:
    """Energy of the jumps between neighbours along ``axis`` in what was added, at the tile borders and over what is
    faded there, each over that where only one tile is seen nearby.

    It is compared with what is nearby, not with the whole picture: there an untiled pass, which sees zeros beyond its
    borders, differs from a tiled one, which sees the picture go on, by far more than any seam.
    """
    added = dream - picture
    jumps = (added - added.roll(1, axis)).square().mean(dim=(0, 3 - axis))

    def around(first: int, last: int) -> float:
        return jumps[[(border + by) % len(jumps) for border in borders for by in range(first, last)]].mean().item()

    nearby = (around(-2 * FADE_PX, -FADE_PX) + around(FADE_PX + 1, 2 * FADE_PX + 1)) / 2
    return around(0, 1) / nearby, around(1 - FADE_PX, FADE_PX) / nearby


@pytest.mark.parametrize("axis", [1, 2], ids=["rows", "columns"])
def test_tiles_leave_no_seams(axis: int, clouds: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    # After one step all borders are where a seam shows the most; where that is differs with the seed.
    borders: set[int] = set()

    def spying(gradient: Tensor, window: Window, shift: tuple[int, int], into: Tensor) -> None:
        span = (window.rows, window.columns)[axis - 1]
        if span.fade_in:
            assert span.fade_in <= FADE_PX
            borders.add((span.begin + span.core_offset - shift[axis - 1]) % into.shape[axis])
        paste(gradient, window, shift, into)

    monkeypatch.setattr("deepdream_engine.flight.paste", spying)
    tiled_engine, whole_engine = Engine(device="cpu", tile_px=256), Engine(device="cpu")
    tiled, untiled = [], []
    for seed in range(SEEDS):
        picture = clouds(*((300, 250) if axis == 1 else (250, 300)), seed)
        one = job(picture, network=DREAMNET, tap="mixed4c", octaves=1, steps=1, seed=seed)
        (whole,) = whole_engine.dream([one])
        borders.clear()
        (dream,) = tiled_engine.dream([one])
        assert borders
        tiled.append(seams(picture, dream.pixels, axis, sorted(borders)))
        untiled.append(seams(picture, whole.pixels, axis, sorted(borders)))
    for kind in range(2):
        assert mean(pair[kind] for pair in tiled) == pytest.approx(mean(pair[kind] for pair in untiled), rel=0.02)


def test_a_tiled_and_an_untiled_dream_look_alike(clouds: Callable[..., Tensor]) -> None:
    picture = clouds(260, 230)
    one = job(picture, network=DREAMNET, tap="mixed4c", octaves=2, steps=5)
    (tiled,) = Engine(device="cpu", tile_px=224).dream([one])
    (whole,) = Engine(device="cpu").dream([one])
    assert tiled.tile_px == 224
    changes = torch.stack([(dream.pixels - picture).flatten() for dream in (tiled, whole)])
    assert torch.corrcoef(changes)[0, 1] > 0.9
    assert changes[0].std().item() == pytest.approx(changes[1].std().item(), rel=0.05)
