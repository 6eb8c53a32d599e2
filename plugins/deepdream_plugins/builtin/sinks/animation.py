"""The sink ``animation``: the source dissolves into its dream and back, as one small file for the web."""

from __future__ import annotations

import io
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption, BadPicture
from deepdream_plugins.builtin.sinks.deliveries import dream_of, one_at_a_time, shown
from deepdream_plugins.builtin.sinks.files import bytes_writer, fitted, folder_below, publish_new
from deepdream_plugins.builtin.sinks.pictures import small
from deepdream_plugins.events import Delivery
from deepdream_plugins.records import Option, SinkSpec

if TYPE_CHECKING:
    from PIL import Image

_BACKGROUND = (255, 255, 255)
_FRAMES_PER_SECOND = 15
_OVERSIZE = 2  # of the source, in case another part of it is left than all
_SHRINK_LEAST = 0.9  # each try is at most so many times as large as the one before
_SMALLEST_SIDE = 48


def deliver(
    delivery: Delivery,
    *,
    format: str,
    longest_side: int,
    hold_seconds: float,
    dissolve_seconds: float,
    quality: int,
    max_mb: float,
    folder: str,
) -> None:
    """Write the animation beside the dream, or into ``folder`` below the output folder, sub-folders mirrored."""
    dream = dream_of(delivery)
    source = Path(delivery.source)
    if not source.is_file():
        raise BadPicture(
            f"The picture {shown(str(source))!r} is no longer there, so there is nothing to show before the dream. Put "
            f"it back and run `deepdream retry`, or let it be."
        )
    with one_at_a_time(delivery):
        after = small(dream, longest_side, _BACKGROUND)
        before = small(source, _OVERSIZE * longest_side, _BACKGROUND)
        data = encoded(
            before,
            after,
            format=format,
            hold_seconds=hold_seconds,
            dissolve_seconds=dissolve_seconds,
            quality=quality,
            max_bytes=int(max_mb * 1e6),
        )
        target_folder = dream.parent
        root = Path(delivery.output_folder)
        if folder:
            inside = dream.parent.relative_to(root) if dream.is_relative_to(root) else Path()
            target_folder = folder_below(root, str(Path(folder) / inside))
        name = fitted(dream.stem, f".before-after.{format}")
        publish_new(target_folder, name, bytes_writer(data), delivery.state)


def encoded(
    before: Image.Image,
    after: Image.Image,
    *,
    format: str,
    hold_seconds: float,
    dissolve_seconds: float,
    quality: int,
    max_bytes: int,
) -> bytes:
    """Return the endless animation, at the size of ``after`` or as much smaller as ``max_bytes`` asks for.

    A source of another shape, of which the dream shows a part, is cropped in the middle.
    """
    from PIL import Image, ImageOps

    width, height = after.size
    scale = 1.0
    while True:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        resampling = Image.Resampling.LANCZOS
        pair = ImageOps.fit(before, size, resampling), after if size == after.size else after.resize(size, resampling)
        pictures, seconds = _frames(*pair, hold_seconds, dissolve_seconds)
        data = _webp(pictures, seconds, quality) if format == "webp" else _gif(pictures, seconds)
        if len(data) <= max_bytes:
            return data
        if max(size) <= _SMALLEST_SIDE:
            raise BadOption(
                f"max_mb: {max_bytes / 1e6:g} MB is too little: even at {size[0]} × {size[1]} pixels the animation "
                f"takes {len(data) / 1e6:.2g} MB. Allow more, or take shorter times or the other format."
            )
        shrunk = scale * min(_SHRINK_LEAST, 0.97 * math.sqrt(max_bytes / len(data)))
        scale = max(shrunk, _SMALLEST_SIDE / max(width, height))


def _frames(
    before: Image.Image, after: Image.Image, hold_seconds: float, dissolve_seconds: float
) -> tuple[list[Image.Image], list[float]]:
    """Return the pictures of one round and how long each is seen."""
    from PIL import Image

    count = round(dissolve_seconds * _FRAMES_PER_SECOND)
    between = [
        # Slow at both ends, like a breath.
        Image.blend(before, after, 0.5 - 0.5 * math.cos(math.pi * index / (count + 1)))
        for index in range(1, count + 1)
    ]
    dissolving = [dissolve_seconds / max(1, count)] * count
    return [before, *between, after, *reversed(between)], [hold_seconds, *dissolving, hold_seconds, *dissolving]


def _webp(pictures: list[Image.Image], seconds: list[float], quality: int) -> bytes:
    """Encode every frame as a whole: as differences they drift away from the pictures, and leave edges in skies."""
    data = io.BytesIO()
    first, *rest = pictures
    first.save(
        data,
        "WEBP",
        save_all=True,
        append_images=rest,
        duration=[round(each * 1000) for each in seconds],
        loop=0,
        quality=quality,
        method=3,
        kmin=0,
        kmax=1,
    )
    return data.getvalue()


def _gif(pictures: list[Image.Image], seconds: list[float]) -> bytes:
    """Encode with one palette for all frames: with one for each, what does not change flickers."""
    from PIL import Image

    before, after = pictures[0], pictures[len(pictures) // 2]
    both = Image.new("RGB", (before.width, before.height * 2))
    both.paste(before, (0, 0))
    both.paste(after, (0, before.height))
    palette = both.quantize(256, method=Image.Quantize.MEDIANCUT)
    first, *rest = [picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures]
    data = io.BytesIO()
    first.save(
        data,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=[round(each * 100) * 10 for each in seconds],  # GIF counts in hundredths
        loop=0,
    )
    return data.getvalue()


def check(*, folder: str, **_options: object) -> None:
    """Refuse folders outside the output folder: a watched one might dream what is put there."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or folder.startswith("~"):
        raise BadOption(f"folder {folder!r} is not inside the output folder. Write a name such as 'animations'.")


SPEC = SinkSpec(
    name="animation",
    help="The source dissolving into its dream and back, as an animated picture beside the dream",
    deliver=deliver,
    check=check,
    limit_seconds=180.0,
    options=(
        Option(
            name="format",
            type=str,
            default="webp",
            choices=("webp", "gif"),
            help="webp has all colours and small files; gif plays everywhere, with 256 colours",
        ),
        Option(name="longest_side", type=int, default=640, minimum=64, maximum=2048, help="in pixels, at most"),
        Option(
            name="hold_seconds",
            type=float,
            default=1.2,
            minimum=0.1,
            maximum=30,
            help="how long the source is seen, and the dream",
        ),
        Option(
            name="dissolve_seconds",
            type=float,
            default=1.0,
            minimum=0,
            maximum=10,
            help="how long one turns into the other; 0 is at once",
        ),
        Option(name="quality", type=int, default=80, minimum=1, maximum=100, help="of webp's compression"),
        Option(
            name="max_mb",
            type=float,
            default=10.0,
            minimum=0.05,
            maximum=500,
            help="of the file in megabytes: one that would be larger is made smaller in pixels",
        ),
        Option(
            name="folder",
            type=str,
            default="",
            help='below the output folder, such as "animations"; empty is beside the dream',
        ),
    ),
)
