"""A file becomes a small picture: decoded no larger than training needs it, upright, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode, sniff
from deepdream_engine.pictures.decode import HOSTILE_INPUT, inspect, open_header

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = ("RGB", "L", "RGBA", "P", "CMYK", "YCbCr", "1", "LA")


def read_small(data: bytes, shorter_px: int) -> Tensor:
    """Return the picture in ``data`` as uint8 RGB ``(3, H, W)``, its shorter side at most ``shorter_px``.

    Raises ``BadPicture``. Larger pictures are shrunk with every pixel counted; JPEGs are decoded smaller at once.
    """
    name, _ = inspect(data)
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
            upright = ImageOps.exif_transpose(image)
            return _as_tensor(_shrunk(upright.convert("RGB"), shorter_px))
    except HOSTILE_INPUT as error:
        raise BadPicture(f"a damaged {name}: {error or type(error).__name__}") from error


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
