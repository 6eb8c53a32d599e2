"""A file becomes a small picture: decoded no larger than training needs it, upright, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode, metadata, sniff
from deepdream_engine.pictures.decode import HOSTILE_INPUT, inspect, open_header, tame_pillow

if TYPE_CHECKING:
    from torch import Tensor

_GROUND = (128, 128, 128)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN = ("RGB", "L", "RGBA", "P", "CMYK", "YCbCr", "1", "LA")


def read_small(data: bytes, shorter_px: int) -> Tensor:
    """Return the picture in ``data`` as uint8 RGB ``(3, H, W)``, its shorter side at most ``shorter_px``.

    Raises ``BadPicture``. Larger pictures are shrunk with every pixel counted; JPEGs are decoded smaller at once.
    """
    name, _ = inspect(data)
    tame_pillow()
    if name == "PNG" and (damage := sniff.png_damage(data)) is not None:
        raise BadPicture(f"a damaged PNG: {damage}")
    try:
        with open_header(data, name) as image:
            if image.mode not in _PLAIN:
                return _as_tensor(_shrunk(_full(data), shorter_px))
            ratio = min(image.size) / shorter_px
            if name == "JPEG" and ratio > 1:
                image.draft("RGB", (int(image.width / ratio), int(image.height / ratio)))
            image.load()
            _, orientation = metadata.read_exif(image)
            shrunk = _shrunk(_opaque(image), shorter_px)
            turn = _TURNS.get(orientation)
            return _as_tensor(shrunk if turn is None else shrunk.transpose(turn))
    except HOSTILE_INPUT as error:
        raise BadPicture(f"a damaged {name}: {error or type(error).__name__}") from error


def _opaque(image: Image.Image) -> Image.Image:
    """Return the picture in colours; what lies beneath its transparent parts may be anything, and is grey."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, (*_GROUND, 255))
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("RGB")


def _full(data: bytes) -> Image.Image:
    import numpy as np

    return Image.fromarray((decode(data).pixels * 255 + 0.5).astype(np.uint8))


def _shrunk(image: Image.Image, shorter_px: int) -> Image.Image:
    ratio = shorter_px / min(image.size)
    if ratio >= 1:
        return image
    size = (max(shorter_px, round(image.width * ratio)), max(shorter_px, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _as_tensor(image: Image.Image) -> Tensor:
    import numpy as np
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()  # (3, H, W)
