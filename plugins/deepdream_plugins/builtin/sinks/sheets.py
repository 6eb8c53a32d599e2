"""Drawing a contact sheet: pictures in rows, each above its label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_plugins.builtin.sinks.lettering import Letters

if TYPE_CHECKING:
    from PIL import Image

BACKGROUND = (24, 24, 27)
_TEXT = (228, 228, 231)
_FAINT = (150, 150, 158)


@dataclass(frozen=True)
class Cell:
    """A small picture, on disk or not, its label, and a fainter line below that."""

    picture: Path | Image.Image
    label: str
    below: str


def size_px(count: int, *, columns: int, cell_px: int, height_px: int | None = None) -> tuple[int, int]:
    """Return the width and height of a sheet of ``count`` pictures, which are at most ``height_px`` high."""
    gap, line, top = _measures(cell_px)
    rows = -(-count // columns)
    return columns * (cell_px + gap) + gap, top + rows * ((height_px or cell_px) + 2 * line + 2 * gap) + gap


def draw(
    cells: Sequence[Cell], title: str, *, columns: int, cell_px: int, font: str, snug: bool = False
) -> Image.Image:
    """Return the sheet in RGB; a single row is no wider than it needs to be, nor, if ``snug``, any row higher."""
    from PIL import Image, ImageDraw

    columns = min(columns, len(cells))
    gap, line, top = _measures(cell_px)
    height_px = max(_height_px(cell.picture, cell_px) for cell in cells) if snug else cell_px
    size = size_px(len(cells), columns=columns, cell_px=cell_px, height_px=height_px)
    sheet = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)

    def write(place: tuple[int, int], text: str, letters: Letters, room: int, colour: tuple[int, int, int]) -> None:
        fitted, chosen = letters.fitted(text, room)
        pen.text(place, fitted, font=chosen, fill=colour)

    write((gap, gap), title, Letters(font, round(line * 1.1)), sheet.width - 2 * gap, _TEXT)
    letters = Letters(font, round(line * 0.78))
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        left, upper = gap + column * (cell_px + gap), top + row * (height_px + 2 * line + 2 * gap)
        if isinstance(cell.picture, Path):
            with Image.open(cell.picture) as opened:
                picture = opened.convert("RGB")
        else:
            picture = cell.picture.copy()
        picture.thumbnail((cell_px, cell_px), Image.Resampling.LANCZOS)  # it may be of a time of larger cells
        sheet.paste(picture, (left + (cell_px - picture.width) // 2, upper + (height_px - picture.height) // 2))
        under = upper + height_px + gap // 2
        write((left, under), cell.label, letters, cell_px, _TEXT)
        write((left, under + line), cell.below, letters, cell_px, _FAINT)
    return sheet


def _height_px(picture: Path | Image.Image, cell_px: int) -> int:
    """Return how high a picture is in its cell."""
    from PIL import Image

    if isinstance(picture, Path):
        with Image.open(picture) as opened:
            return _height_px(opened, cell_px)
    shrunk = min(1.0, cell_px / max(picture.size))
    return min(cell_px, math.ceil(picture.height * shrunk))


def _measures(cell_px: int) -> tuple[int, int, int]:
    """Return the gap between cells, the height of a line and that of the title with its surroundings."""
    gap, line = max(6, cell_px // 16), max(15, cell_px // 13)
    return gap, line, round(line * 1.4) + 2 * gap
