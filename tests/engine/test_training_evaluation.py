"""How many pictures are recognised, as the engine runs a network for dreaming."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepdream_engine import Network
from deepdream_engine.device import Device
from deepdream_engine.errors import BadOption
from deepdream_engine.training.archive import Archive
from deepdream_engine.training.evaluation import Judge, centre, wilson
from deepdream_engine.training.listing import Listing, Sample
from deepdream_engine.training.reading import read_small


class Colours(nn.Module):
    """Tells red, green and blue apart by their amount."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.look.weight.copy_(torch.eye(3).view(3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x).mean(dim=(2, 3))


@pytest.fixture
def judge() -> Judge:
    zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return Judge(Network(key="c", name="colours", load=Colours, mean=zero, std=one, min_side_px=8), Device("cpu"))


def listed(folder: Path, *pictures: tuple[str, int]) -> Listing:
    from PIL import Image

    for index, (colour, _) in enumerate(pictures):
        Image.new("RGB", (40, 30), colour).save(folder / f"{index}.png")
    samples = tuple(Sample(f"{index}.png", label, 1) for index, (_, label) in enumerate(pictures))
    return Listing(Archive(folder), ("red", "green", "blue"), samples)


def test_it_counts_what_is_right_and_what_is_taken_for_what(judge: Judge, tmp_path: Path) -> None:
    listing = listed(tmp_path, ("#a00000", 0), ("#a00000", 0), ("#008000", 0), ("#008000", 1), ("#0000b0", 2))
    (tmp_path / "4.png").write_bytes(b"no picture")
    measured = judge.measure(listing, listing.samples, side_px=16)
    assert (measured.right, measured.right5, measured.of) == (3, 4, 4)
    assert measured.by_class == {0: (2, 3), 1: (1, 1)}
    assert measured.mistakes == ((0, 1, 1),)
    assert [name for name, _ in measured.unreadable] == ["4.png"]
    low, high = measured.interval
    assert low < 0.75 < high


def test_an_adversarial_step_is_survived_by_what_is_clear_alone(judge: Judge, tmp_path: Path) -> None:
    listing = listed(tmp_path, ("#ff0000", 0), ("#808280", 1))
    measured = judge.measure(listing, listing.samples, side_px=16, robust_radius=0.5, robust_of=2)
    assert (measured.right, measured.robust, measured.robust_of) == (2, 1, 2)


def test_classes_beyond_the_networks_are_refused(judge: Judge, tmp_path: Path) -> None:
    listing = listed(tmp_path, ("#ff0000", 7))
    with pytest.raises(BadOption, match=r"tells 3 classes apart.*number 7"):
        judge.measure(listing, listing.samples, side_px=16)


def test_the_middle_is_cut_out_after_resizing(tmp_path: Path) -> None:
    listing = listed(tmp_path, ("#ff0000", 0))
    picture = read_small(listing.read(listing.samples[0]), 64)
    assert picture.shape == (3, 30, 40)
    assert centre(picture, 20, 24).shape == (3, 20, 20)


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = wilson(116, 200)
    assert (low, high) == (pytest.approx(0.5107, abs=1e-4), pytest.approx(0.6463, abs=1e-4))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 5)[1] == 1.0
