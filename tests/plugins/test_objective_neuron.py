"""One neuron is found in every window that shows it, wherever windows and canvas begin."""

from __future__ import annotations

import math

import pytest
import torch

from deepdream_engine.activations import Activations
from tests.seeing import SPECS


def windows(sizes: tuple[int, int], canvas: tuple[int, int, float], begins: list[tuple[int, int]]) -> Activations:
    """Windows of one size of one canvas, with a tap that numbers its cells: half the size and 2 channels."""
    height, width = sizes
    cells = torch.arange((height // 2) * (width // 2)).reshape(1, 1, height // 2, width // 2).double() + 1
    frame = [[[top, canvas[0], canvas[2]], [left, canvas[1], canvas[2]]] for top, left in begins]
    return Activations(
        by_tap={"tap": torch.cat([-cells, cells], dim=1).repeat(len(begins), 1, 1, 1)},
        pixels=torch.zeros(len(begins), 3, height, width, dtype=torch.float64),
        frame=torch.tensor(frame, dtype=torch.float64),
    )


def cell_over(activations: Activations, x: float, y: float) -> list[float]:
    """The number of the cell over the point, pixel by pixel: the one nearest to the window's middle, if several."""
    found = []
    height, width = activations.pixels.shape[2:]
    for (top, rows, margin), (left, columns, _) in activations.frame.tolist():
        row, column = (
            min(math.floor(margin + at * (n - 2 * margin)), math.ceil(n - margin) - 1)
            for at, n in ((y, rows), (x, columns))
        )
        hits = [
            (abs(r - (height - 1) / 2) + abs(c - (width - 1) / 2), (r // 2) * (width // 2) + c // 2 + 1)
            for r in range(height)
            for c in range(width)
            if (top + r) % rows == row and (left + c) % columns == column
        ]
        found.append(float(min(hits)[1]) if hits else 0.0)
    return found


@pytest.mark.parametrize("point", [(0.5, 0.5), (0.0, 0.0), (0.3, 0.97), (0.99, 0.1), (1.0, 1.0)])
@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        pytest.param((20, 30), (20, 30, 0), id="the whole canvas"),
        pytest.param((8, 8), (20, 30, 0), id="overlapping tiles"),
        pytest.param((24, 32), (20, 30, 0), id="longer than the canvas"),
        pytest.param((8, 16), (20, 30, 2.5), id="tiles and a margin"),
    ],
)
def test_neuron_is_the_cell_over_the_point_in_every_window_that_shows_it(
    size: tuple[int, int], canvas: tuple[int, int, float], point: tuple[float, float]
) -> None:
    begins = [(top, left) for top in range(-7, 33, 4) for left in range(-9, 41, 5)]
    seen, (x, y) = windows(size, canvas, begins), point
    count = torch.ones(len(begins), dtype=torch.float64)
    score = SPECS["neuron"].score(seen, layer="tap", channel=count.long(), x=count * x, y=count * y)
    assert score.tolist() == cell_over(seen, x, y)
    assert score.any()


def test_neuron_is_the_cell_whose_place_is_nearest() -> None:
    seen = windows((20, 30), (20, 30, 0), [(0, 0)])
    places = seen.places("tap")[0]  # (2, h, w)
    for x, y in ((0.52, 0.47), (0.04, 0.88), (0.77, 0.33)):
        nearest = ((places[0] - y).abs() * 20 + (places[1] - x).abs() * 30).argmin()
        at = {"x": torch.tensor([x]), "y": torch.tensor([y])}
        score = SPECS["neuron"].score(seen, layer="tap", channel=torch.tensor([1]), **at)
        assert score.item() == nearest + 1


def test_a_neuron_in_float32_falls_into_a_window_at_every_point_of_a_large_canvas() -> None:
    side, tile = 9976, 1247  # eight tiles that meet
    begins = [(tile * n, 0) for n in range(8)]
    frame = torch.tensor([[[top, side, 0.0], [0, 1, 0]] for top, _ in begins])
    seen = Activations(by_tap={"tap": torch.ones(8, 1, tile, 1)}, pixels=torch.zeros(8, 3, tile, 1), frame=frame)
    channel, x = torch.zeros(8, dtype=torch.long), torch.zeros(8)
    for y in torch.arange(0, 9).div(8).tolist() + torch.linspace(0, 1, 50).tolist():
        score = SPECS["neuron"].score(seen, layer="tap", channel=channel, x=x, y=torch.full((8,), y))
        assert score.sum() == 1, y
