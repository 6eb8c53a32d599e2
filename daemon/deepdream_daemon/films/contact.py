"""A contact sheet: frames from the whole length of a film on one picture, each with its number and time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.rotation import upright
from deepdream_engine.errors import BadPicture

_STAYS_LEVELS = 0.02
_GAP_PX = 6
_LINE_PX = 18
_PAPER, _INK = (24, 24, 24), (220, 220, 220)


def contact_sheet(film: Path, *, columns: int = 6, rows: int = 4, width: int = 1600) -> Any:
    """Return a Pillow image of at most ``columns`` x ``rows`` frames of ``film``, the first and the last among them.
    What only stays at the end, to be looked at, is one frame.

    Raises :class:`BadPicture` if there is no film to be read.
    """
    from PIL import Image, ImageDraw

    av = pyav()
    try:
        count = _until_it_stays(film)
        if not count:
            raise BadPicture(f"{film.name!r} has no frames.")
        wanted = _spread(count, columns * rows)
        found = {place: frame for place, frame in enumerate(pictures(film)) if place in wanted}
        first = found[0]
        across = min(columns, len(wanted))
        cell_width = max(1, (width - _GAP_PX * (across + 1)) // across)
        shown = upright(first.to_ndarray(format="rgb24"), -first.rotation % 360)
        cell_height = max(1, round(cell_width * shown.shape[0] / shown.shape[1]))
        pitch = (cell_width + _GAP_PX, cell_height + _GAP_PX + _LINE_PX)
        size = (_GAP_PX + across * pitch[0], _GAP_PX + -(-len(wanted) // across) * pitch[1])
        sheet = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(sheet)
        for cell, place in enumerate(wanted):
            frame = found.pop(place)
            picture = Image.fromarray(upright(frame.to_ndarray(format="rgb24"), -frame.rotation % 360))
            left, top = _GAP_PX + cell % across * pitch[0], _GAP_PX + cell // across * pitch[1]
            sheet.paste(picture.resize((cell_width, cell_height), Image.Resampling.LANCZOS), (left, top))
            draw.text((left + 2, top + cell_height + 2), f"{place}  {_shown(frame.time)}", fill=_INK)
    except av.FFmpegError as error:
        raise BadPicture(f"{film.name!r} cannot be read: {error}.") from error
    return sheet


def pictures(film: Path) -> Iterator[Any]:
    """Yield the frames of a film of our own, as they are stored."""
    with pyav().open(str(film)) as container:
        if container.streams.video:
            yield from container.decode(container.streams.video[0])


def _until_it_stays(film: Path) -> int:
    """Return how many frames there are until nothing changes any more."""
    count, before = 0, None
    for number, picture in enumerate(pictures(film), 1):
        now = picture.to_ndarray(format="gray").astype(np.int16)
        if before is None or np.abs(now - before).mean() > _STAYS_LEVELS:
            count = number
        before = now
    return count


def _spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` places from 0 to ``count - 1``, evenly apart."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [0]
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:05.2f}"
