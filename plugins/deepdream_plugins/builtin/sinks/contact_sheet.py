"""The sink ``contact_sheet``: all dreams of a day on one picture, redrawn as each arrives."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.builtin.sinks.days import Day, Dream, forget_old
from deepdream_plugins.builtin.sinks.deliveries import dream_of, finished_at, one_at_a_time, shown
from deepdream_plugins.builtin.sinks.files import bytes_writer, folder_below, replace
from deepdream_plugins.builtin.sinks.lettering import check_font
from deepdream_plugins.builtin.sinks.pictures import small
from deepdream_plugins.builtin.sinks.sheets import BACKGROUND, Cell, draw, size_px
from deepdream_plugins.events import Delivery
from deepdream_plugins.records import Option, SinkSpec

if TYPE_CHECKING:
    from PIL import Image

FOLDER = "contact-sheets"
_SUFFIXES = {"jpeg": ".jpg", "webp": ".webp"}
_LONGEST_SIDE_PX = {"jpeg": 65_500, "webp": 16_383}  # what the formats can hold


def deliver(
    delivery: Delivery, *, columns: int, cell_px: int, per_sheet: int, format: str, quality: int, font: str
) -> None:
    """Add the dream to the sheet of the day it was finished on; a day of many dreams has several sheets."""
    dream = dream_of(delivery)
    title = f"{finished_at(delivery):%Y-%m-%d}"
    with one_at_a_time(delivery) as state:
        day = Day.read(state / f"{title}.json", delivery.state)
        _remember(day, delivery, small(dream, cell_px, BACKGROUND))
        folder = folder_below(Path(delivery.output_folder), FOLDER)
        dreams = day.in_order()
        for page, start in enumerate(range(0, len(dreams), per_sheet)):
            here = dict(dreams[start : start + per_sheet])
            look = [columns, cell_px, quality, font, format, [[key, asdict(dream)] for key, dream in here.items()]]
            shows = hashlib.sha256(json.dumps(look).encode()).hexdigest()
            if day.is_shown(page, shows) and delivery.key not in here:
                continue
            cells = [Cell(day.thumbs / dream.thumb, dream.label, dream.below) for dream in here.values()]
            sheet = _encoded(draw(cells, title, columns=columns, cell_px=cell_px, font=font), format, quality)
            name = f"{title}-page-{page + 1}" if page else title
            day.write_sheet(page, folder / f"{name}{_SUFFIXES[format]}", sheet, shows)
        forget_old(state, finished_at(delivery).date())


def _remember(day: Day, delivery: Delivery, picture: Image.Image) -> None:
    thumb = hashlib.sha256(delivery.key.encode()).hexdigest()[:16] + ".png"
    data = io.BytesIO()
    picture.save(data, "PNG", compress_level=1)
    day.thumbs.mkdir(mode=0o700, exist_ok=True)
    replace(day.thumbs / thumb, bytes_writer(data.getvalue()), delivery.state)
    day.dreams[delivery.key] = Dream(
        finished=delivery.finished,
        thumb=thumb,
        label=shown(Path(delivery.output).name),
        below=f"{delivery.recipe} · {finished_at(delivery):%H:%M}",
    )
    day.save()


def _encoded(sheet: Image.Image, format: str, quality: int) -> bytes:
    data = io.BytesIO()
    sheet.save(data, format.upper(), quality=quality, **({"optimize": True} if format == "jpeg" else {"method": 4}))
    return data.getvalue()


def check(*, columns: int, cell_px: int, per_sheet: int, format: str, font: str, **_others: object) -> None:
    """Refuse sheets that their format cannot hold, and fonts that are none."""
    _, height = size_px(per_sheet, columns=columns, cell_px=cell_px)
    if height > _LONGEST_SIDE_PX[format]:
        raise BadOption(
            f"per_sheet {per_sheet} makes a sheet of {height} pixels in height; {format} holds "
            f"{_LONGEST_SIDE_PX[format]}. Take fewer, more columns or a smaller cell_px."
        )
    if font:
        check_font(font)


SPEC = SinkSpec(
    name="contact_sheet",
    help=f"All dreams of a day on one picture, {FOLDER}/2026-12-31.jpg in the output folder",
    deliver=deliver,
    check=check,
    options=(
        Option(name="columns", type=int, default=5, minimum=1, maximum=12, help="pictures side by side"),
        Option(name="cell_px", type=int, default=280, minimum=64, maximum=512, help="side of each picture, in pixels"),
        Option(
            name="per_sheet",
            type=int,
            default=60,
            minimum=1,
            maximum=500,
            help="pictures on a sheet, at most; a day of more has several",
        ),
        Option(name="format", type=str, default="jpeg", choices=tuple(_SUFFIXES), help="of the sheets"),
        Option(name="quality", type=int, default=88, minimum=1, maximum=100, help="of the sheets' compression"),
        Option(
            name="font",
            type=str,
            default="",
            help="absolute path of a TrueType or OpenType font for the labels; empty is one that has their letters",
        ),
    ),
)
