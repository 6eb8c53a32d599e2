"""Text on the picture: a name, a title, a year."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.filters.option import share
from deepdream_plugins.records import FilterContext, FilterSpec, Option

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from torch import Tensor

_CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left", "bottom", "top", "centre")
_MARGIN = 0.6  # of the text's size
_OUTLINE = 0.06  # of the text's size
_SHADE = 0.6  # how much of the opacity the outline has
_MISSING = "\U0010ffff"  # no character, so every font draws its sign for those that it lacks
_TRIAL_PX = 20.0
_COMMON = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
"""Pillow's own font has the letters of English and no others; most machines have one of these."""


def watermark(
    pictures: Tensor,
    _context: FilterContext,
    *,
    text: str,
    corner: str,
    size: float,
    opacity: float,
    ink: str,
    font: str,
) -> Tensor:
    """Write ``text`` over ``(N, 3, H, W)``, its letters ``size`` times the shorter side high, with a thin outline of
    the opposite shade that keeps it legible on any ground.

    A text that would be wider or higher than the picture is written smaller. Raises ``BadOption`` if the font cannot be
    found or lacks some of the text's characters.
    """
    height, width = pictures.shape[-2:]
    letters, outline = _drawn(text, font, size * min(height, width), width, height)  # (h, w), both
    rows, columns = letters.shape[-2:]
    margin = max(1, round(_MARGIN * size * min(height, width)))
    top = _start(height - rows, margin, is_first="top" in corner, is_last="bottom" in corner)
    left = _start(width - columns, margin, is_first="left" in corner, is_last="right" in corner)
    result = pictures.clone()
    part = result[:, :, top : top + rows, left : left + columns]
    white = ink == "white"
    part.lerp_(part.new_full((), not white), outline.to(part.device) * (opacity * _SHADE))
    part.lerp_(part.new_full((), white), letters.to(part.device) * opacity)
    return result


def check(*, text: str, font: str, **_others: object) -> None:
    """Refuse a text that cannot be written, before anything is dreamt."""
    _font_for(text, font)


def _start(room: int, margin: int, *, is_first: bool, is_last: bool) -> int:
    """Return where a thing begins that leaves ``room`` pixels."""
    if is_first:
        return min(margin, room // 2)
    return room - min(margin, room // 2) if is_last else room // 2


def _drawn(text: str, name: str, px: float, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return the letters and their outline, both ``(h, w)`` in [0, 1], and no larger than ``(height, width)``."""
    import numpy as np
    import torch
    from PIL import Image, ImageDraw

    canvas = ImageDraw.Draw(Image.new("L", (1, 1)))
    name, px = _font_for(text, name), max(1.0, px)
    while True:
        font, stroke = _font(name, px), max(1, round(_OUTLINE * px))
        left, top, right, bottom = canvas.multiline_textbbox((0, 0), text, font=font, stroke_width=stroke)
        columns, rows = max(1, round(right - left)), max(1, round(bottom - top))
        fitting = min((width - px * _MARGIN) / columns, (height - px * _MARGIN) / rows)
        if fitting >= 1 or px == 1:
            break
        px = max(1.0, min(px - 1, px * fitting))
    # Both in one call, since lines lie farther apart with an outline: red is the letters, green the outline as well.
    image = Image.new("RGB", (columns, rows))
    ImageDraw.Draw(image).multiline_text(
        (-left, -top), text, fill=(255, 255, 0), font=font, stroke_width=stroke, stroke_fill=(0, 255, 0)
    )
    drawn = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)[:height, :width]  # (h, w, 3)
    return drawn[..., 0], drawn[..., 1]


def _font(name: str, px: float) -> FreeTypeFont:
    from PIL import ImageFont

    if not name:
        built_in = ImageFont.load_default(px)
        assert isinstance(built_in, ImageFont.FreeTypeFont)  # as it is for any size
        return built_in
    try:
        return ImageFont.truetype(name, px)
    except OSError as error:
        raise BadOption(
            f"font {name!r} cannot be used ({error}). Name a TrueType or OpenType font of this machine, such as "
            f"{_COMMON[0]}, or its path; or leave it out for the built-in one."
        ) from error


def _font_for(text: str, name: str) -> str:
    """Return the name of the font that ``text`` is written in, or raise ``BadOption`` if it lacks some of it."""
    missing = _lacking(text, name)
    if missing and not name:
        for common in _COMMON:
            with suppress(BadOption):
                if not _lacking(text, common):
                    return common
    if missing:
        which = f"the font {name!r}" if name else "the built-in font"
        raise BadOption(
            f"text {text!r}: {which} has no {' '.join(missing)}. Name one that has, by its file name or path, such as "
            f'font = "{_COMMON[0]}", or write the text otherwise.'
        )
    return name


def _lacking(text: str, name: str) -> list[str]:
    font = _font(name, _TRIAL_PX)
    lacks = bytes(font.getmask(_MISSING))
    seen = (each for each in dict.fromkeys(text) if each.isprintable() and not each.isspace())
    return [each for each in seen if bytes(font.getmask(each)) == lacks]


WATERMARK = FilterSpec(
    name="watermark",
    help="Text in a corner",
    apply=watermark,
    check=check,
    options=(
        Option(name="text", type=str, help="what it says"),
        Option(name="corner", type=str, default="bottom-right", choices=_CORNERS, help="where it stands"),
        Option(
            name="size",
            type=float,
            default=0.04,
            minimum=0.005,
            maximum=1,
            help="of the letters, as a share of the picture's shorter side",
        ),
        share("opacity", 0.7, "1 hides what is behind it"),
        Option(name="ink", type=str, default="white", choices=("white", "black"), help="its colour"),
        Option(
            name="font",
            type=str,
            default="",
            help="a TrueType or OpenType font, by its file name or path; if empty, one that has the letters",
        ),
    ),
)
