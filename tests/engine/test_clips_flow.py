"""Flow: what has moved is found where it was, what was hidden is not, and only a cut is one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from deepdream_engine.errors import BadOption
from deepdream_engine.motion import flow
from deepdream_engine.motion.camera import moved
from deepdream_engine.motion.coherence import is_cut
from deepdream_engine.motion.flow import match, warped
from deepdream_engine.motion.timeline import Motion

from .test_clips_coherence import textured

pytest.importorskip("cv2")

Clouds = Callable[..., Tensor]


def noise(like: Tensor, levels: float, seed: int = 0) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)) * (levels / 255)


def test_a_pan_is_found_to_a_quarter_of_a_pixel(clouds: Clouds) -> None:
    wide = textured(clouds, 96, 140)
    before, now = wide[:, :, 10:138], wide[:, :, 7:135]  # the view moves left: things move 3 pixels to the right
    found = match(before, now)
    inner = found.flow[:, 12:-12, 12:-12]
    assert (inner[0].median() + 3).abs() < 0.25
    assert inner[1].median().abs() < 0.25
    apart = (warped(before, found.flow) - now).abs()[:, 8:-8, 8:-8]
    assert apart.mean() * 255 < 1, "what was there lies on what is"


def test_what_comes_into_view_is_not_taken_for_seen(clouds: Clouds) -> None:
    before = textured(clouds, 96, 128, seed=1)
    now = before.clone()
    square = textured(clouds, 32, 32, seed=5)
    before[:, 32:64, 40:72], now[:, 32:64, 48:80] = square, square
    trust = match(before, now).trust[0]
    revealed = trust[36:60, 41:47]
    assert revealed.mean() < 0.4, "it was behind the square"
    assert trust[:20].mean() > 0.95
    assert trust[40:56, 56:72].mean() > 0.8, "the square itself was seen"


def test_what_was_outside_the_picture_is_not_taken_for_seen(clouds: Clouds) -> None:
    wide = textured(clouds, 96, 160)
    trust = match(wide[:, :, :128], wide[:, :, 12:140]).trust[0]
    assert trust[:, -8:].mean() < 0.2
    assert trust[:, 12:100].mean() > 0.8


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("noise", lambda frame: frame + noise(frame, 8)),
        ("flash", lambda frame: frame * 0.5 + 0.4),
        ("fade", lambda frame: frame * 0.7),
        ("zoom", lambda frame: moved(frame, Motion(zoom=1.08))),
        ("turn", lambda frame: moved(frame, Motion(degrees=4))),
        ("pan by a tenth", lambda frame: moved(frame, Motion(pan=(0.1, 0)))),
    ],
)
def test_one_scene_goes_on(clouds: Clouds, what: str, change: Callable[[Tensor], Tensor]) -> None:
    frame = textured(clouds, 96, 128)
    found = match(frame, change(frame).clamp(0, 1))
    assert not is_cut(found), f"{what}: {found.seen_share:.2f}"
    assert found.seen_share > 0.6


def test_another_picture_is_a_cut(clouds: Clouds) -> None:
    shots = [textured(clouds, 144, 192, seed) for seed in range(5)]
    for before, now in pairwise(shots):
        assert is_cut(match(before, now))
    black = torch.zeros_like(shots[0])
    assert is_cut(match(black, shots[0]))
    assert is_cut(match(shots[0], black))


def test_noise_on_black_is_no_cut_and_does_not_move() -> None:
    black = torch.full((3, 96, 128), 0.05)
    found = match((black + noise(black, 4, seed=1)).clamp(0, 1), (black + noise(black, 4, seed=2)).clamp(0, 1))
    assert found.seen_share > 0.9
    assert found.flow.abs().mean() < 1


@pytest.mark.parametrize("size", [(1, 1), (7, 90), (16, 16), (48, 33)])
def test_frames_of_any_size_are_matched(clouds: Clouds, size: tuple[int, int]) -> None:
    frame = clouds(64, 96)[:, : size[0], : size[1]]
    found = match(frame, frame)
    assert found.flow.shape == (2, *size)
    assert found.trust.shape == (1, *size)
    assert found.flow.abs().max() < 0.5
    assert found.seen_share > 0.9


def test_large_frames_are_matched_in_their_own_pixels(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_LONGEST_PX", 96)
    wide = textured(clouds, 144, 212)
    found = match(wide[:, :, 10:202], wide[:, :, 4:196])
    assert (found.flow[0, 20:-20, 20:-20].median() + 6).abs() < 0.5


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    flow._opencv.cache_clear()
    with pytest.raises(BadOption, match=r"pip install 'deepdream-daemon\[video\]'"):
        flow.check_installed()
    flow._opencv.cache_clear()
